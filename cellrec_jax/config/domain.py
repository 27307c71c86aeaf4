"""Which knobs of generated Ki-67 images vary widely; imports neither jax nor numpy."""

from cellrec_jax.config.limits import require

KNOBS = (
    "stains",
    "scanner",
    "scale",
    "shapes",
    "crowding",
    "focus",
    "stroma",
    "lookalikes",
)
"""In the order in which they act; see `data.synthetic.domain`."""


def knobs(text: str) -> tuple[str, ...]:
    """Knobs that `data.synthetic_domain` switches on, in the order of `KNOBS`.

    Names by commas; "all" stands for all, "-name" takes one away again, "" is none.
    Another name, or one taken away that was not there, is a `ConfigError`.

    Example:
      >>> knobs("scanner,stains"), len(knobs("all,-stroma"))
      (('stains', 'scanner'), 7)
    """
    found: set[str] = set()
    for word in filter(None, (part.strip() for part in text.split(","))):
        name = word.removeprefix("-")
        require(
            name in KNOBS or word == "all",
            f"data.synthetic_domain={text}: '{word}' is no knob; give all, all,-NAME "
            f"or names by commas of {', '.join(KNOBS)}",
        )
        if word == "all":
            found |= set(KNOBS)
        elif name == word:
            found.add(name)
        else:
            require(
                name in found,
                f"data.synthetic_domain={text}: '{word}' takes away what is not there; "
                f"write all,{word}",
            )
            found.remove(name)
    return tuple(name for name in KNOBS if name in found)


def require_nuclei(kind: str, text: str) -> None:
    """Raises a ConfigError unless images of `data.synthetic_kind` have these knobs."""
    require(
        kind == "nuclei",
        f"data.synthetic_domain={text} is for data.synthetic_kind=nuclei, not {kind}: "
        "drop one of them",
    )
