import sys
import types

import pytest

from cellrec_jax.bench import steps, torch_steps


@pytest.fixture
def asked(monkeypatch):
    """What torchvision is asked for, of a stub that only notes it."""
    found = {}
    names = (
        "torchvision",
        "torchvision.models",
        "torchvision.models.detection",
        "torchvision.models.detection.anchor_utils",
    )
    modules = [types.ModuleType(name) for name in names]
    for module in modules:
        monkeypatch.setitem(sys.modules, module.__name__, module)
    modules[1].detection = modules[2]
    modules[2].fasterrcnn_resnet50_fpn = lambda **given: found.update(given)
    modules[3].AnchorGenerator = lambda sizes, ratios: (sizes, ratios)
    return found


@pytest.mark.parametrize("full", [False, True])
def test_their_detector_is_as_ours(asked, full):
    experiment = steps.experiment("float32", full)
    torch_steps._model(experiment)
    sizes, ratios = asked.pop("rpn_anchor_generator")
    assert sizes == ((32.0,), (64.0,), (128.0,), (256.0,), (512.0,))  # of five maps
    assert ratios == (tuple(experiment.options.model.anchor_ratios),) * 5
    own = experiment.options.model
    px = {"min_size": 800, "max_size": 800} if full else {"min_size": 64}
    assert {key: asked[key] for key in px} == px
    assert asked["rpn_post_nms_top_n_train"] == own.post_nms_train
    assert asked["rpn_pre_nms_top_n_train"] == (2000 if full else own.pre_nms_level)
    assert asked["box_batch_size_per_image"] == own.roi_batch
    assert asked["num_classes"] == 2
    assert asked["weights"] is asked["weights_backbone"] is None
