"""The arrays that travel between data, methods, training and evaluation.

Shape letters: B images, H W image height and width in px, C channels, K classes
(background excluded), N annotated cells an image (padded), M predictions.
Coordinates are (y, x), continuous, in px of the array they belong to; pixel (i, j)
covers [i, i+1) x [j, j+1). Padded entries are finite and never read: only masks count.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from flax import struct
import jax

Metrics = dict[str, tuple[jax.Array, jax.Array]]
"""Name -> (sum, count); sums and counts add up over devices, then divide."""


class Batch(NamedTuple):
    """Images with their imperfect annotations, padded to fixed shapes."""

    image: jax.Array
    """[B, H, W, C]; uint8 or f32 in [0, 1] as loaded, f32 in [0, 1] after
    augmentation; the method normalises further."""
    image_mask: jax.Array
    """bool [B]; False for filler images that complete a batch."""
    points_yx: jax.Array
    """f32 [B, N, 2] cell centres in px."""
    labels: jax.Array
    """i32 [B, N] class ids 0..K-1; -1 where padded."""
    points_mask: jax.Array
    """bool [B, N]; True for real cells. Need not be contiguous."""
    boxes_yxyx: jax.Array
    """f32 [B, N, 4] boxes (y0, x0, y1, x1) in px, half open."""
    valid: jax.Array
    """bool [B, H, W]; inside the annotated region, outside ignored regions and
    padding. Elsewhere every loss has weight 0 and no prediction is a false positive."""
    example_index: jax.Array
    """i32 [B] position in the global batch; keys every random draw of the example."""
    maps: jax.Array | None = None
    """u8 [B, H, W, M] labels of pixels that were made before training, for methods that
    learn from some (`ExampleSpec.paint`); they move with the image."""
    trust: jax.Array | None = None
    """f32 [B, N] how much is learnt of each: 1 of cells that a person gave, less, from
    0 on, of predicted ones; -1 where a person said that none is. None: all 1."""
    highest: jax.Array | None = None
    """f32 [B] highest grey value, in [0, 1], of the image that a window was cut from,
    before its colours were changed; None where images are whole."""


class Decode(NamedTuple):
    """How scores become detections; fitted on validation images."""

    thresholds: jax.Array
    """f32 [K] least score of a detection, per class."""
    min_distance: jax.Array
    """f32 [] px; detections nearer than this to a better one are dropped (0: none)."""


class Detections(NamedTuple):
    """What every method predicts: M slots an image, sorted by falling score."""

    points_yx: jax.Array
    """f32 [B, M, 2] cell centres in px of the image."""
    scores: jax.Array
    """f32 [B, M] in [0, 1]."""
    labels: jax.Array
    """i32 [B, M] class ids 0..K-1."""
    class_probs: jax.Array
    """f32 [B, M, K] class probabilities, background excluded (rows sum to <= 1)."""
    mask: jax.Array
    """bool [B, M]; True for real detections."""
    boxes_yxyx: jax.Array | None = None
    """f32 [B, M, 4] in px, for methods that predict boxes."""


class Progress(NamedTuple):
    """How far training is, for what follows a schedule."""

    step: jax.Array
    """i32 [] steps done."""
    total: int
    """Steps of the whole training."""


FIRST = "first"
"""Where parameters hold a network that a stage trained before: its "params" and
"state", frozen."""


class Stage(NamedTuple):
    """Training beside that of the network by gradients; data, which `run` reads."""

    name: str
    """Section of the options that it is set by."""
    kind: str
    """What runs it: "rounds" (of pseudo labels), "prior" (a network that is trained
    first, then frozen), or "pseudo_masks" (label maps made of points)."""
    options: Any
    """Its own frozen dataclass."""


class Fit(Protocol):
    """Replaces training where nothing is trained by gradients."""

    def __call__(
        self,
        batch: Batch,
        radius_px: float,
        track: Callable[..., Any],
        /,
    ) -> tuple[Any, str]:
        """Finds parameters; also returns a line for the user.

        Args:
          batch: all training images, f32 in [0, 1], of NumPy arrays; outside `valid`
            nothing matters.
          radius_px: a match is nearer, px of these images.
          track: passes items through and shows how far it is, as `Console.track`.
        """


class Traits(NamedTuple):
    """What only some methods have."""

    trainable: Callable[..., Any] | None = None
    """(params) -> tree of bool; False leaves are frozen. None trains everything."""
    load_pretrained: Callable[..., tuple[Any, Any, tuple[str, ...]]] | None = None
    """(params, model_state) -> the same with pretrained weights filled in, and what
    to tell the user about them."""
    fit: Fit | None = None
    """Of methods that are not trained by gradients; `predict` runs on the host then."""
    candidates: Callable[..., Detections] | None = None
    """(params, model_state, batch, decode) -> what a round of pseudo labels selects
    from; only for methods that train in rounds."""
    predicts: tuple[str, ...] = ()
    """First names of the parameters, and of the model state, that `predict` reads: no
    others are restored for it. Empty reads all."""
    stride: int = 1
    """px; tiles of an image that start at its multiples have the features of the
    whole image, but for what lies near their edges."""
    receptive_px: int = 0
    """px; how far from a point lies what it is found by: tiles with such margins find
    what the whole image does. 0 where that is not known, or all of it matters."""
    max_detections: int = 0
    """Most detections that a prediction holds; 0 where nothing is cut."""
    slots_per_class: bool = False
    """Whether these are of each class, not of all together."""
    circles: tuple[tuple[str, float], ...] = ()
    """Options of the radii of circles in its targets, px: training refuses those that
    cover a whole image."""
    by_highest: bool = False
    """Whether it divides windows by the highest grey value of their image."""
    has_boxes: bool = False
    """Whether `predict` gives boxes."""
    by_trust: bool = False
    """Whether its losses read `Batch.trust`: others would learn each as a cell."""
    tile_warning: str = ""
    """What to tell of images that are cut into tiles; empty where nothing is."""


class Method(NamedTuple):
    """What a method module's `make(options)` returns: pure functions."""

    init: Callable[..., tuple[Any, Any]]
    """(rng, image [B, H, W, C], any size) -> (params, model_state)."""
    loss_fn: Callable[..., tuple[jax.Array, tuple[Any, Metrics]]]
    """(params, model_state, batch, rng, progress, *, averaged=None)
    -> (loss, (model_state, metrics)); `averaged` (params, model_state) of `optim.ema`,
    None where nothing is averaged."""
    predict: Callable[..., Detections]
    """(params, model_state, batch, decode) -> Detections."""
    traits: Traits = Traits()
    stages: tuple[Stage, ...] = ()
    """What else is trained, in order; see `run`."""


class TrainState(struct.PyTreeNode):
    """Parameters and everything else that a checkpoint holds."""

    step: jax.Array
    """i32 scalar, steps done."""
    params: Any
    model_state: Any
    """Batch statistics and the like; may be empty."""
    opt_state: Any
    ema_params: Any
    """Averaged parameters; an empty dict where there are none."""
    ema_state: Any = struct.field(default_factory=dict)
    """`model_state`, averaged alike: batch statistics are of their weights."""

    @property
    def evaluated(self) -> "TrainState":
        """With the averaged parameters and statistics, where there are any."""
        if not self.ema_params:
            return self
        return self.replace(params=self.ema_params, model_state=self.ema_state)
