import contextlib

import pytest

from cellrec_jax.io import geojson_parts


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.geojson", "a-3.geojson"),
        ("a.svs.geojson.gz", "a.svs-3.geojson.gz"),
        ("a.json", "a-3.json"),
        ("a.b", "a-3.b"),
        ("a", "a-3"),
    ],
)
def test_names_of_parts(tmp_path, name, expected):
    assert geojson_parts.part_path(tmp_path / name, 3) == tmp_path / expected
    store = geojson_parts.part_path(f"gs://bucket/{name}", 3)
    assert str(store) == f"gs://bucket/{expected}"


def test_files_that_are_done_are_closed(tmp_path, monkeypatch):
    """Else a thousand parts would be a thousand open files."""
    opened = []

    class Counted:
        def __init__(self, stream):
            self.write, self._close = stream.write, stream.close
            opened.append(self)

        def close(self):
            opened.remove(self)
            self._close()

    real = geojson_parts.streams.streamed_file

    @contextlib.contextmanager
    def streamed_file(path):
        with real(path) as stream:
            yield Counted(stream)

    monkeypatch.setattr(geojson_parts.streams, "streamed_file", streamed_file)
    with geojson_parts.open_parts(tmp_path / "a.json", b"[", 1) as write:
        for _ in range(5):
            write(["1", "2"])
            assert len(opened) == 1
    assert not opened
    assert (tmp_path / "a-10.json").read_bytes() == b"[2]}"
