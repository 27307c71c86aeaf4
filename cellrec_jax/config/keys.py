"""Every key of an experiment with its value and what it means, for people to read."""

import ast
from collections.abc import Iterator
import dataclasses
import inspect
import textwrap
from typing import Any

from cellrec_jax.config import limits
from cellrec_jax.config.experiment import Experiment


def lines(experiment: Experiment) -> Iterator[str]:
    """A line for each flag `--config.KEY`, with the experiment's value as default."""
    for key, value, meaning, may_be in described(experiment):
        yield f"--config.{key}={limits.text(value)}"
        if what := f"{meaning} {may_be}".strip():
            yield textwrap.indent(textwrap.fill(what, 84), "    ")


def described(experiment: Experiment) -> Iterator[tuple[str, Any, str, str]]:
    """Each dotted key, its value, what it means and what it may be."""
    sections = {field.name: field for field in dataclasses.fields(experiment)}
    plain = [name for name in sections if not _is_section(experiment, name)]
    yield from _section("", experiment, plain)
    parts = {
        **{n: getattr(experiment.options, n) for n in _names(experiment.options)},
        **{n: getattr(experiment, n) for n in sections if n not in (*plain, "options")},
    }
    for name, part in parts.items():
        yield from _section(f"{name}.", part, _names(part))


def _section(
    prefix: str, options: Any, names: list[str]
) -> Iterator[tuple[str, Any, str, str]]:
    meanings = _documented(type(options))
    fields = {field.name: field for field in dataclasses.fields(options)}
    for name in names:
        allowed = fields[name].metadata.get("limits")
        may_be = f"({limits.meant(allowed)})" if allowed else ""
        meaning = meanings.get(name, "")
        yield f"{prefix}{name}", getattr(options, name), meaning, may_be


def _documented(cls: type) -> dict[str, str]:
    """Field -> the text below it, of a class and of those it extends."""
    found: dict[str, str] = {}
    for one in reversed(cls.__mro__[:-1]):
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(one))).body
        assert isinstance(tree, ast.ClassDef)
        for field, text in zip(tree.body, tree.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
            ):
                found[field.target.id] = " ".join(str(text.value.value).split())
    return found


def _names(options: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(options)]


def _is_section(experiment: Experiment, name: str) -> bool:
    return dataclasses.is_dataclass(getattr(experiment, name))
