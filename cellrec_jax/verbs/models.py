"""`cellrec models`: the trained models that the package has."""

import argparse
from collections.abc import Mapping
import json
from typing import Any

from cellrec_jax import errors
from cellrec_jax.verbs.verb import Verb, Words, flag


def run(flags: argparse.Namespace, pairs: Mapping[str, str]) -> int:
    """Lists them, or prints a card."""
    from cellrec_jax import models
    from cellrec_jax.workdir import model_file

    del pairs  # it reads none
    if len(flags.words) > 1:
        raise errors.ConfigError(
            f"{flags.called} takes one NAME, not {len(flags.words)}: call it for each"
        )
    if flags.words:
        card = model_file.read_card(models.named(flags.words[0]))
        text = json.dumps(card, indent=None if flags.json else 2)
    else:
        cards = [model_file.read_card(path) for path in models.shipped().values()]
        text = json.dumps(cards) if flags.json else "\n".join(lines(cards))
    print(text)  # noqa: T201
    return 0


def lines(cards: list[dict[str, Any]]) -> list[str]:
    """What to tell of models, three lines each."""
    found = [line for card in cards for line in _of_card(card)]
    return found or ["no models are shipped; train one: cellrec train --help"]


def _of_card(card: Mapping[str, Any]) -> tuple[str, str, str]:
    licences = dict.fromkeys(one["licence"] for one in card["data"])
    facts = [
        ", ".join(card["classes"]),
        f"{card['meta']['mpp']:g} um per px" + " (a guess)" * ("mpp_is" in card),
        f"{card['weights']['bytes'] / 2**20:.2f} MiB",
        f"trained on data under {', '.join(licences)}",
    ]
    return f"{card['name']}: {card['what']}", f"  {'; '.join(facts)}", _score(card)


def _score(card: Mapping[str, Any]) -> str:
    """The first of a card, with its interval; the others are in the card."""
    name, value = next(iter(card["scores"].items()), ("", None))
    if value is None:
        return "  not measured"
    ends = [card["scores"].get(f"95 % interval, {end}") for end in ("low", "high")]
    between = "" if None in ends else " ({:g} to {:g})".format(*ends)
    return f"  {name} {value:g}{between}; all: cellrec models {card['name']}"


VERB = Verb(
    "models",
    "list the trained models that come with the package, or print the card of one",
    ("cellrec models", "cellrec models ki67", "cellrec models --json"),
    run,
    (flag("--json", "print JSON, on one line", action="store_true"),),
    Words("NAME", "of a model, or a file that cellrec export wrote: prints its card"),
)
