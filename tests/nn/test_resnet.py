import chex
from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.nn import backbones, resnet


def _shapes(variant, size_hw=(64, 96), **options):
    """Shapes of (features, variables), without computing anything."""
    model = backbones.make(variant, **options)
    image = jax.ShapeDtypeStruct((1, *size_hw, 3), jnp.float32)
    return jax.eval_shape(model.init_with_output, jax.random.key(0), image)


def _tiny(rng, size_hw=(20, 28), **options):
    model = backbones.make("tiny", **{"norm": "group", **options})
    image = jnp.asarray(rng.normal(size=(2, *size_hw, 3)), jnp.float32)
    return model, jax.jit(model.init)(jax.random.key(1), image), image


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        # torchvision's counts less those of `fc`.
        ("resnet18", 11_689_512 - 513_000),
        ("resnet34", 21_797_672 - 513_000),
        ("resnet50", 25_557_032 - 2_049_000),
        ("resnet101", 44_549_160 - 2_049_000),
    ],
)
@pytest.mark.parametrize("norm", ["frozen_batch", "group"])
def test_parameter_counts_are_torchvisions(variant, expected, norm):
    _, variables = _shapes(variant, norm=norm)
    sizes = [leaf.size for leaf in jax.tree.leaves(variables["params"])]
    assert sum(sizes) == expected


@pytest.mark.parametrize("size_hw", [(65, 97), (33, 1)])
def test_strides_are_rounded_up(size_hw):
    features, _ = _shapes("tiny", size_hw)
    height, width = size_hw
    assert {level: value.shape for level, value in features.items()} == {
        level: (1, -(-height // 2**level), -(-width // 2**level), depth)
        for level, depth in {2: 4, 3: 6, 4: 8, 5: 10}.items()
    }


@pytest.mark.parametrize("variant", ["resnet18", "resnet50"])
def test_module_names_are_torchvisions(variant):
    _, variables = _shapes(variant)
    names = {"/".join(path) for path in traverse_util.flatten_dict(variables["params"])}
    assert {"conv1/kernel", "bn1/scale", "layer4_1/bn2/bias"} <= names
    assert "layer2_0/downsample_0/kernel" in names
    # A bottleneck widens in layer1 already; a basic block does not.
    assert ("layer1_0/downsample_1/scale" in names) == (variant == "resnet50")
    assert "layer2_1/downsample_0/kernel" not in names


def test_trainable_tensors_of_the_paper():
    _, variables = _shapes("resnet50")
    mask = resnet.trainable_mask(variables["params"])
    chex.assert_trees_all_equal_structs(mask, variables["params"])
    # 53 convolutions less conv1; with the pyramid (14), the RPN (6) and the head (8)
    # these are the 80 "layers" of the paper.
    assert sum(jax.tree.leaves(mask)) == 52
    assert not mask["conv1"]["kernel"]
    assert not mask["layer1_0"]["downsample_1"]["scale"]
    assert mask["layer1_0"]["downsample_0"]["kernel"]


@pytest.mark.parametrize(
    ("norm", "freeze_stem", "frozen"),
    [
        ("group", False, set()),
        ("group", True, {"conv1", "bn1", "conv2", "bn2"}),
        ("frozen_batch", False, {"bn1", "bn2"}),
    ],
)
def test_trainable_mask_of_the_stem(norm, freeze_stem, frozen):
    _, variables = _shapes("tiny", norm=norm)
    mask = resnet.trainable_mask(variables["params"], norm, freeze_stem)
    stem = {name: tree for name, tree in mask.items() if not name.startswith("layer")}
    assert {name for name, tree in stem.items() if not any(tree.values())} == frozen
    assert mask["layer1_0"]["bn1"]["scale"] == (norm == "group")


@pytest.mark.slow
@pytest.mark.parametrize(
    "norm", [pytest.param("group", marks=pytest.mark.slow), "frozen_batch"]
)
def test_mask_is_where_gradients_are_cut(rng, norm):
    model, variables, image = _tiny(rng, norm=norm, freeze_stem=True)

    def loss(params):
        features = model.apply({**variables, "params": params}, image)
        return sum(jnp.sum(value**2) for value in features.values())

    grads = jax.jit(jax.grad(loss))(variables["params"])
    has_gradient = jax.tree.map(lambda grad: bool(np.any(grad)), grads)
    assert has_gradient == resnet.trainable_mask(variables["params"], norm)


@pytest.mark.slow
def test_bfloat16_runs_close_to_float32(rng):
    size_hw = (44, 60)
    model, variables, image = _tiny(rng, size_hw)
    low, low_variables, _ = _tiny(rng, size_hw, dtype=jnp.bfloat16)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(low_variables))
    exact = jax.jit(model.apply)(variables, image)
    for level, value in jax.jit(low.apply)(variables, image).items():
        assert value.dtype == jnp.bfloat16
        error = jnp.abs(value.astype(jnp.float32) - exact[level])
        assert jnp.mean(error) < 0.02 * jnp.mean(exact[level])


@pytest.mark.slow
def test_remat_changes_memory_only(rng):
    model, variables, image = _tiny(rng, norm="sync_batch")
    again = backbones.make("tiny", norm="sync_batch", remat=True)
    chex.assert_trees_all_equal_structs(
        variables, jax.eval_shape(again.init, jax.random.key(1), image)
    )

    def loss(model, params):
        features, state = model.apply(
            {**variables, "params": params}, image, train=True, mutable=["batch_stats"]
        )
        return jnp.sum(features[5] ** 2), state

    def run(model):
        step = jax.value_and_grad(lambda params: loss(model, params), has_aux=True)
        return jax.jit(step)(variables["params"])

    chex.assert_trees_all_close(run(again), run(model), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_train_moves_the_statistics_of_sync_batch_only(rng):
    model, variables, image = _tiny(rng, norm="sync_batch")
    apply = jax.jit(model.apply, static_argnames=("train", "mutable"))
    for train in (True, False):
        _, state = apply(variables, image, train=train, mutable=("batch_stats",))
        moved = jax.tree.map(
            lambda new, old: bool(np.any(new != old)),
            state["batch_stats"],
            variables["batch_stats"],
        )
        assert all(value == train for value in jax.tree.leaves(moved))


def test_normalize_imagenet():
    image = jnp.array([[[[0.485, 0.456, 0.406], [0.714, 0.456, 0.631]]]])
    np.testing.assert_allclose(
        resnet.normalize_imagenet(image)[0, 0], [[0, 0, 0], [1, 0, 1]], atol=1e-6
    )


def test_he_normal_has_the_spread_of_the_fan_out():
    kernel = resnet.he_normal(jax.random.key(0), (3, 5, 40, 60))
    assert kernel.shape == (3, 5, 40, 60)
    np.testing.assert_allclose(jnp.std(kernel), (2 / (3 * 5 * 60)) ** 0.5, rtol=0.02)
    np.testing.assert_allclose(jnp.mean(kernel), 0.0, atol=1e-3)
