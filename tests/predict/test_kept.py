"""Files as they were written, and as people change them."""

import hashlib

import pytest

from cellrec_jax import errors
from cellrec_jax.predict import kept


def test_a_stamp_is_of_the_bytes_alone(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"cells")
    second.write_bytes(b"cells")
    digest = hashlib.blake2b(b"cells", digest_size=8).hexdigest()
    assert kept.stamp(first) == kept.stamp(second) == (5, digest)


@pytest.mark.parametrize("content", [b"", b"other", b"cells and more"])
def test_what_is_not_as_it_was_is_refused(tmp_path, content):
    path = tmp_path / "a"
    path.write_bytes(b"cells")
    stamps = {"a": [*kept.stamp(path)]}  # as JSON gives them back
    kept.refuse_changed([path, tmp_path / "gone"], stamps)
    path.write_bytes(content)
    with pytest.raises(errors.DataError, match=r"a was changed .* --overwrite"):
        kept.refuse_changed([path], stamps)
    with pytest.raises(errors.DataError):
        kept.refuse_changed([path], {})
