"""Numbers of XML: with commas, missing, or none."""

from xml.etree.ElementTree import fromstring

import pytest

from cellrec_jax.data.annotations.xml_values import number, value
from cellrec_jax.errors import DataError

ELEMENT = fromstring('<a x="1.5" y="2,5" n="nan" big="1e300" t="two" e=" "/>')


def test_numbers() -> None:
    assert number(ELEMENT, "x", "here") == 1.5
    assert number(ELEMENT, "y", "here") == 2.5
    assert number(ELEMENT, "none", "here", 7.0) == 7
    assert number(ELEMENT, "e", "here", 7.0) == 7
    assert value(" -3 ", "it") == -3


@pytest.mark.parametrize("key", ["n", "big", "t", "e", "none"])
def test_no_numbers(key: str) -> None:
    with pytest.raises(DataError, match=f"here: {key} of a <a> is"):
        number(ELEMENT, key, "here")
