import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.io import streams


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_a_file_appears_when_its_block_ends(tmp_path, name):
    target = tmp_path / "new" / name
    with streams.streamed_file(target) as stream:
        stream.write(b"hello ")
        stream.write(b"world")
        assert not target.exists()
        stream.close()
        assert not target.exists()
    content = target.read_bytes()
    if name.endswith(".gz"):
        assert content[4:8] == bytes(4)  # no time
        content = gzip.decompress(content)
    assert content == b"hello world"
    assert os.listdir(target.parent) == [name]


def test_an_error_of_the_block_stays_as_it_is_and_leaves_nothing(tmp_path):
    failure = FileNotFoundError("slide.svs")

    def write():
        with streams.streamed_file(tmp_path / "a.csv.gz") as stream:
            stream.write(b"half")
            raise failure

    with pytest.raises(FileNotFoundError) as caught:
        write()
    assert caught.value is failure
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
@pytest.mark.parametrize("size", [1, 2**20])
def test_a_full_disk_is_told_of_this_file(tmp_path, monkeypatch, name, size):
    """When much is written, or when what is buffered goes to the disk at the end."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no device that is always full")
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda _, mode: real(full, mode))

    def write():
        with streams.streamed_file(tmp_path / name) as stream:
            stream.write(np.random.default_rng(0).bytes(size))

    with pytest.raises(errors.RunError, match=rf"cannot write .*{name}: .*free some"):
        write()
    assert os.listdir(tmp_path) == []


def blocks_of(numbers, sizes):
    """Blocks of 5 rows of numbers and their signs, from chunks of these sizes."""
    blocks = []
    with streams.in_blocks(5, lambda *columns: blocks.append(columns)) as add:
        start = 0
        for size in sizes:
            part = numbers[start : start + size].copy()
            add(part, part[:, None] * [1.0, -1.0])
            part[:] = 99  # copied: a caller may use its arrays again
            start += size
    return blocks


@pytest.mark.parametrize("sizes", [[23], [1] * 23, [0, 4, 5, 0, 14], [10, 13]])
def test_blocks_hold_the_rows_in_order_whatever_the_chunks(sizes):
    numbers = np.arange(23)
    blocks = blocks_of(numbers, sizes)
    assert [len(block[0]) for block in blocks] == [5, 5, 5, 5, 3]
    np.testing.assert_array_equal(np.concatenate([b[0] for b in blocks]), numbers)
    pairs = np.concatenate([block[1] for block in blocks])
    np.testing.assert_array_equal(pairs, numbers[:, None] * [1.0, -1.0])


def test_no_rows_no_block():
    assert blocks_of(np.zeros(0), [0, 0]) == []


def test_what_is_left_is_not_written_after_an_error():
    blocks = []

    def write():
        with streams.in_blocks(5, blocks.append) as add:
            add(np.zeros(8))
            raise KeyError

    with pytest.raises(KeyError):
        write()
    assert [len(block) for block in blocks] == [5]
