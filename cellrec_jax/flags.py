"""The command line: which verb, its flags, and keys of the configuration."""

import argparse
from collections.abc import Iterable, Mapping, Sequence
import difflib
import re
import sys

from cellrec_jax import __version__, errors
from cellrec_jax.verbs import VERBS
from cellrec_jax.verbs.verb import Flag, Verb, flag

_WHAT = "Trains cell detectors from imperfect annotations and runs them."
_DEFAULT = "train"
_MULTIHOST = flag(
    "--multihost",
    "one of several processes, on one machine or many: the address of the first, how "
    "many there are, and which this is; auto, or nothing, is what launchers' variables "
    "tell (Slurm, Open MPI, TPU; JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES, "
    "JAX_PROCESS_ID), as without the flag, but they must",
    nargs="?",
    const="auto",
    default="",
    metavar="auto|HOST:PORT,COUNT,ID",
)
_CACHE = flag(
    "--cache",
    "where compiled programs are kept for later starts; default ~/.cache/cellrec_jax "
    "(XDG_CACHE_HOME), or JAX_COMPILATION_CACHE_DIR; may be deleted at any time. "
    "Programs that call the host, as on CPUs pdl1_point's training step, are compiled "
    "at every start",
    default="",
    metavar="DIR|off",
)
_COMMON = (_MULTIHOST, _CACHE, flag("--debug", "show tracebacks", action="store_true"))
_WITHOUT_VERB = (
    flag(
        "--mode",
        f"the same as the word VERB; without both {_DEFAULT}",
        choices=tuple(VERBS),
    ),
    flag(
        "--list",
        "print configs and presets, a line each; with --config all keys of one",
        action="store_true",
    ),
    flag("--help", "show this, or behind a VERB its flags", action="store_true"),
    flag("--version", "show the version", action="version", version=__version__),
)
_NO_VALUE = re.compile(
    r"argument (?P<flag>\S+): invalid (?P<type>\w+) value: '(?P<value>.*)'"
)
_NO_CHOICE = re.compile(
    r"argument (?P<flag>\S+): invalid choice: '(?P<value>.*)' "
    r"\(choose from (?P<choices>.*)\)"
)
"""Messages of argparse."""
_ALL_KEYS = """\
Every key of the configuration is a flag: --config.total_steps=500,
--config.loss.calibration=plain; cellrec --list --config NAME tells all."""
_SOME_KEYS = "Of the configuration it reads these keys, which are flags:\n--config.{}"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise errors.ConfigError(f"{_plain(message)}; see --help")


def _plain(message: str) -> str:
    """What argparse says, without its names of types and kinds."""
    if found := _NO_VALUE.fullmatch(message):
        kind = "whole number" if found["type"] == "int" else "number"
        return f"{found['flag']} {found['value']}: give a {kind}"
    if found := _NO_CHOICE.fullmatch(message):
        choices = found["choices"].replace("'", "")
        return f"{found['flag']} {found['value']}: choose from {choices}"
    return message.removeprefix("argument ")


def parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, dict[str, str]]:
    """Splits flags from `--config.key=value` overrides, key -> text.

    What is parsed has the `mode`, which is the name of a verb, and how it was `called`,
    for messages. ConfigError for what is unknown or mistyped, or what the verb does not
    read. Help ends the process, with 2 where nothing at all was asked.
    """
    verb, rest = _split_verb(arguments)
    flags, pairs = _split_overrides(rest)
    parsed = _parser().parse_intermixed_args(flags)
    if verb and parsed.mode not in (None, verb):
        raise errors.ConfigError(f"{verb}, or --mode {parsed.mode}: give one of them")
    if parsed.help:
        print(help_text(verb or parsed.mode), end="")  # noqa: T201
        sys.exit(0)
    if not arguments:
        print(help_text(), end="", file=sys.stderr)  # noqa: T201
        sys.exit(errors.ConfigError.exit_code)
    parsed.mode = verb or parsed.mode or _DEFAULT
    parsed.called = verb or f"--mode {parsed.mode}"
    _refuse_unread(parsed, pairs)
    return parsed, pairs


def help_text(verb: str | None = None) -> str:
    """Help on a verb, with examples; without one on all of them, a line each."""
    return (_overview() if verb is None else _of_verb(VERBS[verb])).format_help()


def read_by() -> dict[str, tuple[str, ...]]:
    """Name of a flag's value -> the verbs that read it; all read those of `_COMMON`."""
    found: dict[str, tuple[str, ...]] = {}
    for name, verb in sorted(VERBS.items()):
        for one in verb.flags:
            found[one.key] = (*found.get(one.key, ()), name)
    return found


def _split_verb(arguments: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """The first word, where it is a verb, and the rest."""
    if not arguments or arguments[0].startswith("-"):
        return None, arguments
    word, *rest = arguments
    if word in VERBS:
        return word, rest
    near = difflib.get_close_matches(word, VERBS, n=1)
    meant = f"did you mean {near[0]}" if near else f"there are {', '.join(VERBS)}"
    raise errors.ConfigError(f"{word}: no such verb; {meant}; see --help")


def _parser() -> _Parser:
    """Takes the flags of all verbs, so that one can be told where it belongs."""
    parser = _new("")
    own = {one.name: one for verb in VERBS.values() for one in verb.flags}
    _add(parser, (*own.values(), *_WITHOUT_VERB, *_COMMON))
    parser.add_argument("words", nargs="*")
    return parser


def _overview() -> _Parser:
    parser = _new("VERB [WORD ...] [--FLAG ...]")
    width = max(map(len, VERBS))
    lines = [f"  {name:<{width}}  {verb.what}" for name, verb in VERBS.items()]
    parser.description = "\n".join(
        [_WHAT, "", "verbs; cellrec VERB --help tells the flags of one:", *lines]
    )
    examples = [f"  {verb.examples[0]}" for verb in VERBS.values()]
    parser.epilog = "\n".join(["examples:", *examples])
    _add(parser.add_argument_group("without a verb"), _WITHOUT_VERB)
    return parser


def _of_verb(verb: Verb) -> _Parser:
    words = f" [{verb.words.metavar} ...]" if verb.words else ""
    parser = _new(f"{verb.name}{words} [--FLAG ...]")
    parser.description = f"{verb.what[0].upper()}{verb.what[1:]}."
    parser.epilog = "\n".join(
        [*_key_lines(verb), "examples:", *(f"  {line}" for line in verb.examples)]
    )
    if verb.words:
        group = parser.add_argument_group("words")
        group.add_argument(
            "words", nargs="*", metavar=verb.words.metavar, help=verb.words.help
        )
    often = [one for one in verb.flags if one.often]
    if often:
        _add(parser.add_argument_group("most used"), often)
    others = [one for one in (*verb.flags, *_COMMON) if not one.often]
    if not verb.has_several:
        others.remove(_MULTIHOST)
    _add(parser.add_argument_group("others"), others)
    return parser


def _key_lines(verb: Verb) -> list[str]:
    """Which keys a verb reads, and a blank line."""
    if not verb.keys:
        return []
    if "" in verb.keys:
        return [_ALL_KEYS, ""]
    return [_SOME_KEYS.format(_listed([f"{key}*" for key in verb.keys], "or")), ""]


def _new(usage: str) -> _Parser:
    return _Parser(
        prog="cellrec",
        usage=f"cellrec {usage}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )


def _add(group: argparse._ActionsContainer, flags: Iterable[Flag]) -> None:
    for one in flags:
        short = ("-h",) if one.name == "--help" else ()
        group.add_argument(*short, one.name, help=one.help, **one.options)


def _refuse_unread(flags: argparse.Namespace, pairs: Mapping[str, str]) -> None:
    """Raises a ConfigError for what the verb would silently pass over."""
    verb = VERBS[flags.mode]
    for name, verbs in read_by().items():
        if getattr(flags, name) and flags.mode not in verbs:
            raise errors.ConfigError(
                f"--{name.replace('_', '-')}: {flags.called} does not read it, only "
                f"{_listed(verbs)}; leave it out"
            )
    if flags.words and not verb.words:
        first = flags.words[0]
        comes = f"; the verb comes first: cellrec {first}" if first in VERBS else ""
        raise errors.ConfigError(
            f"unrecognized arguments: {' '.join(flags.words)}{comes}; see --help"
        )
    for key in pairs:
        _refuse_unread_key(verb, flags.called, key)


def _refuse_unread_key(verb: Verb, called: str, key: str) -> None:
    if why := verb.fixed_keys.get(key):
        raise errors.ConfigError(f"--config.{key}: {why}")
    if verb.keys and key.startswith(verb.keys):
        return
    only = f"only {_listed([f'{one}*' for one in verb.keys])}" if verb.keys else "none"
    is_stored = any(one.key == "workdir" for one in verb.flags)
    rest = "the rest is stored in --workdir" if is_stored else "leave it out"
    raise errors.ConfigError(f"--config.{key}: {called} reads {only}; {rest}")


def _listed(words: Sequence[str], joint: str = "and") -> str:
    return f" {joint} ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _split_overrides(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    plain: list[str] = []
    pairs: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--config."):
            plain.append(word)
            continue
        key, equals, value = word.removeprefix("--config.").partition("=")
        if not equals:
            if not rest or rest[0].startswith("--"):
                raise errors.ConfigError(f"{word} needs a value: {word}=VALUE")
            value = rest.pop(0)
        pairs[key] = value
    return plain, pairs
