"""The pixel size of a model's training images, given after it was trained."""

from collections.abc import Mapping
from typing import Any

from etils import epath

from cellrec_jax import errors, hosts
from cellrec_jax.config import limits

FILE = "pixel_size.json"


def keep(workdir: epath.Path, mpp: float, trained: float) -> None:
    """Keeps micrometres per px for a model whose training images did not say.

    Of several processes all must call this, the first one writes. ConfigError outside
    of 0.02 to 20, or where they said another (`trained`, 0 none).
    """
    from cellrec_jax.workdir import writer  # late: needs orjson

    limits.require_pixel_size("mpp-trained", mpp)
    if trained and trained != mpp:
        raise errors.ConfigError(
            f"--mpp-trained={mpp:g}: {workdir} has {trained:g} um per px; leave it "
            f"out, or delete {workdir / FILE} if that is where it was given"
        )

    def write() -> None:
        if not trained:
            writer.write_json(workdir / FILE, {"mpp": mpp})

    hosts.by_first(write, "the pixel size is kept")


def updated(meta: Mapping[str, Any], workdir: epath.Path) -> dict[str, Any]:
    """Metadata of a checkpoint with the pixel size given since, if it has none."""
    from cellrec_jax.workdir import writer  # late: needs orjson

    found = writer.read_json(workdir / FILE)
    given = found.get("mpp", 0.0) if isinstance(found, dict) else 0.0
    return {**meta, "mpp": meta.get("mpp", 0.0) or given}
