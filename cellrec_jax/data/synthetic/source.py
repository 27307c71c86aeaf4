"""Synthetic Ki-67 images with exact points and instance masks, for demo and tests.

Brown (positive) and pale blue (negative) tumour nuclei in nests are annotated, all else
is not. An image is a function of (seed, index) alone.
"""

from collections.abc import Callable
import functools

from cellrec_jax import errors
from cellrec_jax.config import domain as domain_config
from cellrec_jax.data import record
from cellrec_jax.data.synthetic import cytoplasm as synthetic_cytoplasm
from cellrec_jax.data.synthetic import domain as synthetic_domain
from cellrec_jax.data.synthetic import layout as synthetic_layout
from cellrec_jax.data.synthetic import membrane as synthetic_membrane
from cellrec_jax.data.synthetic import mitosis as synthetic_mitosis
from cellrec_jax.data.synthetic import nuclei as synthetic_nuclei
from cellrec_jax.data.synthetic import phase as synthetic_phase
from cellrec_jax.data.synthetic import stain as synthetic_stain

CLASS_NAMES = ("positive", "negative")
KINDS = ("nuclei", "membrane", "cytoplasm", "mitosis", *synthetic_phase.KINDS)
"""What can be generated: the images of this module, `synthetic_membrane`'s,
`synthetic_cytoplasm`'s, `synthetic_mitosis`'s or `synthetic_phase`'s."""
MPP = 0.3
MIN_SIZE_PX = 32


def make_image(
    seed: int, index: int, *, size_hw: tuple[int, int] = (640, 640), mpp: float = MPP
) -> record.Record:
    """Makes an image, uint8 RGB, of at least one cell: 0 positive, 1 negative.

    Its id is `index`. A point is the exact centroid of the nucleus's outline; its mask
    is only part of it where nuclei overlap or leave the image.
    """
    rng = synthetic_layout.image_rng(seed, index)
    layout = synthetic_layout.plan(rng, size_hw, mpp)
    scanner = synthetic_stain.draw_scanner(rng, mpp)
    canvas = synthetic_nuclei.make_canvas(rng, size_hw, mpp)
    synthetic_stain.add_background(rng, canvas, layout, mpp)
    synthetic_nuclei.draw(rng, canvas, layout.distractors, annotated=False)
    synthetic_nuclei.draw(rng, canvas, layout.cells, annotated=True)
    image = synthetic_stain.scan(rng, canvas, scanner)
    return synthetic_nuclei.make_record(index, image, layout, canvas, mpp)


def open_source(
    num_images: int,
    size_hw: tuple[int, int],
    seed: int,
    *,
    kind: str = "nuclei",
    domain: str = "",
) -> record.Source:
    """A set of synthetic images "0", "1", ..., each made when it is loaded.

    At least 1 image, 32 px a side, `seed` >= 0, `kind` of `KINDS`, else `ConfigError`.
    `domain` widens nuclei alone, see `config.domain`.
    """
    if kind not in KINDS:
        raise errors.ConfigError(
            f"data.synthetic_kind is {kind!r}: use {' or '.join(KINDS)}"
        )
    if num_images < 1 or seed < 0:
        raise errors.ConfigError(
            f"synthetic images: {num_images} images with seed {seed} asked for; "
            "give at least 1 image and a seed of at least 0"
        )
    if min(size_hw) < MIN_SIZE_PX:
        raise errors.ConfigError(
            f"synthetic images: size {size_hw[0]}x{size_hw[1]} px is too small; "
            f"give at least {MIN_SIZE_PX} px each way"
        )
    make, names = _maker(kind, domain)
    image_ids = tuple(str(index) for index in range(num_images))

    def load(image_id: str) -> record.Record:
        if image_id not in image_ids:
            raise errors.DataError(
                f"no synthetic image {image_id!r}; there are 0 to {num_images - 1}"
            )
        return make(seed, int(image_id), size_hw=size_hw)

    return record.Source("synthetic", names, image_ids, load)


def _maker(
    kind: str, domain: str
) -> tuple[Callable[..., record.Record], tuple[str, ...]]:
    """What makes an image of a kind, and its classes."""
    if knobs := domain_config.knobs(domain):
        domain_config.require_nuclei(kind, domain)
        make = functools.partial(synthetic_domain.make_image, knobs=knobs)
        return make, CLASS_NAMES
    if kind in synthetic_phase.KINDS:
        make = functools.partial(synthetic_phase.make_image, kind=kind)
        return make, synthetic_phase.CLASS_NAMES
    return {
        "nuclei": (make_image, CLASS_NAMES),
        "membrane": (synthetic_membrane.make_image, synthetic_membrane.CLASS_NAMES),
        "cytoplasm": (synthetic_cytoplasm.make_image, synthetic_cytoplasm.CLASS_NAMES),
        "mitosis": (synthetic_mitosis.make_image, synthetic_mitosis.CLASS_NAMES),
    }[kind]
