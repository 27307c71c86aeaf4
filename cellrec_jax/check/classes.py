"""Class names that are one name spelled twice, and classes of few cells."""

from collections.abc import Iterator, Sequence
import itertools
import re

from cellrec_jax.check.rules import Finding, finding

LEAST_CELLS = 20
"""Cells of a class below which it is rare."""

_LEAST_LETTERS = 5  # of names that may differ by a typing mistake
_DIGITS = re.compile(r"[\d+\-]+")


def spelled_twice(
    class_names: Sequence[str], counts: Sequence[int]
) -> Iterator[Finding]:
    """Pairs of names that are one, told with the `counts` of their cells."""
    cells = dict(zip(class_names, counts, strict=True))
    for one, other in itertools.combinations(class_names, 2):
        if why := likeness(one, other):
            text = f"'{one}' ({cells[one]} cells) and '{other}' ({cells[other]}): {why}"
            yield finding("class-names", "", text)


def likeness(one: str, other: str) -> str:
    """Why two names seem to be one; empty where they do not.

    Case, spaces and signs between words count for nothing, nor does a plural's s; names
    of `_LEAST_LETTERS` letters may differ by one, but not in a number, a sign of it, or
    a word of one letter: those tell classes apart.

    Example:
      >>> likeness("WBC", "wbc "), likeness("Platelet", "platelets")
      ('case, spaces or signs', 'singular and plural')
      >>> likeness("positive", "postive")
      'one letter'
      >>> likeness("grade 1", "grade 2"), likeness("type A", "type B")
      ('', '')
    """
    words = [re.findall(r"[^\W_]+|\+", name.casefold()) for name in (one, other)]
    plain = ["".join(name) for name in words]
    if plain[0] == plain[1]:
        # "3-" and "3+" would be alike, as far as letters go.
        return "case, spaces or signs" if _minus(one) == _minus(other) else ""
    singular = [[_singular(word) for word in name] for name in words]
    if singular[0] == singular[1]:
        return "singular and plural"
    if [_DIGITS.findall(name) for name in plain] != [[], []] and (
        _DIGITS.findall(plain[0]) != _DIGITS.findall(plain[1])
    ):
        return ""
    short = [[word for word in name if len(word) == 1] for name in words]
    long_enough = min(map(len, plain)) >= _LEAST_LETTERS
    if long_enough and short[0] == short[1] and _one_edit(*plain):
        return "one letter"
    return ""


def rare(
    class_names: Sequence[str], counts: Sequence[int], least: int = LEAST_CELLS
) -> Iterator[Finding]:
    """Classes of fewer than `least` cells."""
    for name, count in zip(class_names, counts, strict=True):
        if count < least:
            yield finding("class-rare", "", f"'{name}' has {count} cells")


def _minus(name: str) -> bool:
    """Whether a name ends as "3-" does."""
    return name.rstrip().endswith("-")


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") else word


def _one_edit(one: str, other: str) -> bool:
    """Whether one letter more, less or other, or two swapped, makes one the other."""
    if abs(len(one) - len(other)) > 1:
        return False
    first = next(
        (i for i, pair in enumerate(zip(one, other, strict=False)) if len({*pair}) > 1),
        min(len(one), len(other)),
    )
    a, b = one[first:], other[first:]
    return (
        a[1:] == b[1:]
        or a[1:] == b
        or a == b[1:]
        or (a[2:] == b[2:] and a[:2] == b[:2][::-1])
    )
