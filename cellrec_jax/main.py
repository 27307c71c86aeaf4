"""The command line: flags -> a verb, and what a process says at its end."""

import argparse
from collections.abc import Mapping, Sequence
import os
import sys
import traceback

from cellrec_jax import errors, multihost, startup
from cellrec_jax import flags as flags_lib
from cellrec_jax.verbs import VERBS


def run(arguments: Sequence[str]) -> int:
    """Runs a command line; returns the exit code.

    0 done, 1 failed while running, or some inputs did, 2 wrong usage, configuration or
    data, 130 after Ctrl-C, 143 after SIGTERM (both keep what is done).
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    debug = "--debug" in arguments
    try:
        flags, pairs = flags_lib.parse(arguments)
        return _list(flags.config, pairs) if flags.list else _do(flags, pairs)
    except BrokenPipeError:  # of `| head`; nor may Python flush at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        multihost.leave(141)
        return 141
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)  # noqa: T201
        multihost.leave(130)
        return 130
    except errors.UserError as error:
        if debug:
            traceback.print_exc()
        _say_once(f"error: {error}")
        multihost.leave(error.exit_code)
        return error.exit_code
    except Exception as error:
        if debug and multihost.is_joined():
            traceback.print_exc()
            multihost.leave(1)
        if debug:
            raise
        text = str(error).strip().splitlines()
        what = text[0] if text else ""
        _say_once(f"error: {type(error).__name__}: {what} (--debug shows where)")
        multihost.leave(1)
        return 1


def _do(flags: argparse.Namespace, pairs: Mapping[str, str]) -> int:
    """Makes ready what the verb needs, then runs it."""
    verb = VERBS[flags.mode]
    if not verb.has_several:
        multihost.refuse(flags.multihost, flags.called)
    multihost.join(flags.multihost)
    if verb.has_devices:
        startup.keep_compiled(flags.cache)
        startup.check_devices()
    return verb.run(flags, pairs)


def _list(flag: str | None, pairs: Mapping[str, str]) -> int:
    """Prints configs and presets; of one of them, every key."""
    from cellrec_jax import config_files

    print("\n".join(config_files.lines(flag, pairs)), flush=True)  # noqa: T201
    return 0


def _say_once(text: str) -> None:
    """Says what went wrong; of processes that say the same, one does."""
    if multihost.is_new(text):
        print(text, file=sys.stderr)  # noqa: T201


def cli() -> None:
    """Entry point of the `cellrec` command."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    cli()
