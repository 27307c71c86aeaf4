"""`cellrec doctor`: what this machine has, and what files are."""

import argparse
from collections.abc import Mapping
import json

from cellrec_jax import errors
from cellrec_jax.verbs.verb import Verb, Words, flag


def run(flags: argparse.Namespace, pairs: Mapping[str, str]) -> int:
    """Prints it; 1 where devices or a file cannot be used."""
    from cellrec_jax.doctor import files, machine, text

    del pairs  # it reads none
    facts = machine.facts(flags.cache)
    found = [files.look(word) for word in flags.words]
    if flags.json:
        print(json.dumps({**facts, "files": found}))  # noqa: T201
    else:
        parts = ["this machine:", *text.of_machine(facts)]
        parts += [line for one in found for line in ("", *text.of_file(one))]
        print("\n".join(parts))  # noqa: T201
    failed = facts["devices_error"] or any("error" in one for one in found)
    return errors.RunError.exit_code if failed else 0


VERB = Verb(
    "doctor",
    "tell versions, devices, memory and readers, and of files what they are",
    (
        "cellrec doctor SLIDE IMAGE.tif runs/demo",
        "cellrec doctor --json > machine.json",
    ),
    run,
    (flag("--json", "print one JSON object, on one line", action="store_true"),),
    Words("FILE", "images, slides, folders and work directories to tell of"),
)
