"""What an adaptation was begun with: its tiles and labels are of that alone."""

from collections.abc import Mapping, Sequence
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etils import epath

from cellrec_jax import errors
from cellrec_jax.io import atomic
from cellrec_jax.predict import provenance
from cellrec_jax.workdir.model import Model

if TYPE_CHECKING:
    from cellrec_jax.adapt.rounds import Options

FILE = "adapt.json"


def made_with(
    model: Model, paths: Sequence[Path], options: "Options"
) -> dict[str, Any]:
    """Model, pictures and options, but for the number of rounds; JSON."""
    stamps = sorted(f"{path.absolute()} {path.stat().st_size}" for path in paths)
    text = "\n".join(stamps).encode(errors="surrogateescape")
    digest = hashlib.blake2b(text, digest_size=4).hexdigest()
    settings = {**options._asdict(), "pictures": f"{len(paths)}, hash {digest}"}
    del settings["rounds"]
    settings["tiles"] = settings.pop("most_tiles")  # as the flag is called
    return {**settings, **provenance.of_model(model)}


def require_same(output: epath.Path, settings: Mapping[str, Any]) -> None:
    """Keeps `settings`; ConfigError where the folder was begun with others."""
    file = output / FILE
    if not file.exists():
        with atomic.naming(output):
            output.mkdir(parents=True, exist_ok=True)
        atomic.write_bytes(file, json.dumps(dict(settings), indent=2).encode() + b"\n")
        return
    try:
        differing = provenance.differences(json.loads(file.read_bytes()), settings)
    except (OSError, ValueError, AttributeError) as error:
        raise errors.ConfigError(
            f"{file} cannot be read ({error}): choose another --output"
        ) from error
    if differing:
        raise errors.ConfigError(
            f"{output} was begun with others: {'; '.join(differing)}; choose another "
            "--output"
        )
