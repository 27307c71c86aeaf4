"""Weights and features against PyTorch's own network.

The golden files were made by a script of about 90 lines with torch 2.13.0 (CPU) and
NumPy 2.4.6. It builds ResNet-18 and ResNet-50 from `torch.nn` alone in torchvision's
layout (conv1, bn1, maxpool, layer1..4 as Sequential, downsample, fc; the stride of a
bottleneck in conv2), fills every entry of `state_dict()` with `_torch_array(name,
shape)` as below, and in evaluation mode and float64 runs the image of `_image`. It
keeps, for each of layer1..4 as [h, w, C], the mean over h and w and every
(size // 500 | 1)-th value of the flattened array. Random bits come from
`Philox.random_raw`, which NumPy promises not to change.
"""

import hashlib
import pathlib

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from cellrec_jax.errors import CheckpointError
from cellrec_jax.nn import backbones, convert

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden"


def _uniform(name, shape):
    """Uniform numbers in [-1, 1) that depend on the name alone."""
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    bits = np.random.Philox(key=key).random_raw(int(np.prod(shape)))
    return ((bits >> np.uint64(40)) * 2.0**-23 - 1).reshape(shape)


def _torch_array(name, shape):
    """A weight as PyTorch stores it, scaled so that features neither fade nor blow."""
    unit = _uniform(name, shape)
    if len(shape) == 4:
        unit *= np.sqrt(6 / np.prod(shape[1:]))
    elif name.endswith(("weight", "running_var")):
        unit = 1 + unit / 2
    else:
        unit = unit / 4
    return unit.astype(np.float32)


def _image():
    """[1, 64, 96, 3], drawn as PyTorch's [1, 3, 64, 96]."""
    image = 2 * _uniform("image", (1, 3, 64, 96)).astype(np.float32)
    return image.transpose(0, 2, 3, 1)


def _norm_shapes(name, width):
    kinds = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{kind}": (width,) for kind in kinds}


def _torch_shapes(variant):
    """The names and shapes of torchvision's state dict, `fc` included."""
    counts, bottleneck = {
        "resnet18": ((2, 2, 2, 2), False),
        "resnet50": ((3, 4, 6, 3), True),
    }[variant]
    shapes = {"conv1.weight": (64, 3, 7, 7), **_norm_shapes("bn1", 64)}
    before = 64
    for stage, count in enumerate(counts):
        width = 64 * 2**stage
        after = 4 * width if bottleneck else width
        for i in range(count):
            block = f"layer{stage + 1}.{i}"
            if bottleneck:
                kernels = [(width, before, 1), (width, width, 3), (after, width, 1)]
            else:
                kernels = [(width, before, 3), (width, width, 3)]
            for j, (out, inner, size) in enumerate(kernels, start=1):
                shapes[f"{block}.conv{j}.weight"] = (out, inner, size, size)
                shapes |= _norm_shapes(f"{block}.bn{j}", out)
            if i == 0 and (stage > 0 or bottleneck):
                shapes[f"{block}.downsample.0.weight"] = (after, before, 1, 1)
                shapes |= _norm_shapes(f"{block}.downsample.1", after)
            before = after
    return {**shapes, "fc.weight": (1000, before), "fc.bias": (1000,)}


@pytest.fixture(scope="module")
def resnet18():
    """A state dict of ResNet-18, as read from a file."""
    arrays = {
        name: _torch_array(name, shape)
        for name, shape in _torch_shapes("resnet18").items()
    }
    return {**arrays, "bn1.num_batches_tracked": np.array(7)}


def _abstract(variant, norm="frozen_batch"):
    """Trees of shapes in place of arrays: loading needs no more."""
    model = backbones.make(variant, norm=norm)
    image = jax.ShapeDtypeStruct((1, 64, 96, 3), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), image)
    return variables["params"], variables.get("batch_stats", {})


def _save(path, arrays):
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        # save_file writes the memory as it lies.
        contiguous = {k: np.ascontiguousarray(v) for k, v in arrays.items()}
        safetensors.numpy.save_file(contiguous, path)
    return path


@pytest.mark.parametrize(
    ("variant", "suffix"),
    [
        ("resnet18", ".npz"),
        pytest.param("resnet50", ".safetensors", marks=pytest.mark.slow),
    ],
)
def test_features_equal_pytorchs(tmp_path, variant, suffix):
    arrays = {
        name: _torch_array(name, shape)
        for name, shape in _torch_shapes(variant).items()
    }
    path = _save(tmp_path / f"weights{suffix}", arrays)
    loaded = convert.load_torchvision_resnet(path, *_abstract(variant))
    features = jax.jit(backbones.make(variant).apply)(
        {"params": loaded.params, "batch_stats": loaded.batch_stats}, _image()
    )
    golden = np.load(GOLDEN / f"{variant}_torch.npz")
    for level, value in features.items():
        feature = np.asarray(value[0])
        found = {
            "mean": feature.mean((0, 1)),
            "sample": feature.reshape(-1)[:: feature.size // 500 | 1],
        }
        for kind, array in found.items():
            expected = golden[f"c{level}_{kind}"]
            atol = 1e-5 * np.max(expected)
            np.testing.assert_allclose(array, expected, rtol=1e-4, atol=atol)


def test_kernels_are_transposed_and_names_kept(tmp_path, resnet18):
    path = _save(tmp_path / "weights.safetensors", resnet18)
    params, batch_stats = _abstract("resnet18")
    loaded = convert.load_torchvision_resnet(path, params, batch_stats)
    chex.assert_trees_all_equal_shapes_and_dtypes(
        (loaded.params, loaded.batch_stats), (params, batch_stats)
    )
    kernel = loaded.params["layer2_0"]["conv1"]["kernel"]
    torch_kernel = resnet18["layer2.0.conv1.weight"]
    assert kernel[0, 2, 5, 9] == torch_kernel[9, 5, 0, 2]
    projection = loaded.params["layer3_0"]["downsample_0"]["kernel"]
    assert (
        projection[0, 0, 5, 9] == resnet18["layer3.0.downsample.0.weight"][9, 5, 0, 0]
    )
    norm = "layer4.1.bn2"
    for tree, leaf, kind in [
        (loaded.params, "scale", "weight"),
        (loaded.params, "bias", "bias"),
        (loaded.batch_stats, "mean", "running_mean"),
        (loaded.batch_stats, "var", "running_var"),
    ]:
        np.testing.assert_array_equal(
            tree["layer4_1"]["bn2"][leaf], resnet18[f"{norm}.{kind}"]
        )
    assert loaded.report == (f"pretrained: 100 tensors from {path}",)


def test_half_precision_files_become_float32(tmp_path, resnet18):
    half = {k: v.astype(jnp.bfloat16) for k, v in resnet18.items()}
    path = _save(tmp_path / "weights.safetensors", half)
    loaded = convert.load_torchvision_resnet(path, *_abstract("resnet18"))
    kernel = loaded.params["conv1"]["kernel"]
    assert kernel.dtype == jnp.float32
    expected = resnet18["conv1.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_allclose(kernel, expected, rtol=0.01)


def test_group_norm_takes_the_convolutions_and_says_so(tmp_path, resnet18):
    path = _save(tmp_path / "weights.safetensors", resnet18)
    params, batch_stats = _abstract("resnet18", "group")
    params = jax.tree.map(lambda leaf: jnp.full(leaf.shape, 0.5), params)
    loaded = convert.load_torchvision_resnet(path, params, batch_stats)
    assert loaded.batch_stats == {}
    assert np.all(loaded.params["bn1"]["scale"] == 0.5)
    assert not np.any(loaded.params["conv1"]["kernel"] == 0.5)
    assert loaded.report[0].startswith("pretrained: 20 tensors")
    assert "40 norm tensors keep their initial values" in loaded.report[1]


def _without(arrays, *names):
    return {name: array for name, array in arrays.items() if name not in names}


BAD_CONTENTS = {
    "missing": (
        lambda arrays: _without(arrays, "layer1.0.conv1.weight", "bn1.running_var"),
        r"2 missing \(bn1.running_var, layer1.0.conv1.weight\)",
    ),
    "unexpected": (
        lambda arrays: {**arrays, "layer1.2.conv1.weight": np.ones((64, 64, 3, 3))},
        r"1 unexpected \(layer1.2.conv1.weight\)",
    ),
    "shape": (
        lambda arrays: {**arrays, "conv1.weight": np.ones((64, 4, 7, 7))},
        r"1 shapes differ.*conv1.weight: \(7, 7, 4, 64\) in the file, "
        r"\(7, 7, 3, 64\) in the model",
    ),
    "nan": (
        lambda arrays: {**arrays, "bn1.bias": np.full(64, np.nan)},
        r"NaN or infinite values \(bn1.bias\)",
    ),
}


@pytest.mark.parametrize("fault", BAD_CONTENTS)
def test_wrong_contents(tmp_path, resnet18, fault):
    spoil, message = BAD_CONTENTS[fault]
    path = _save(tmp_path / "weights.safetensors", spoil(resnet18))
    with pytest.raises(CheckpointError, match=message) as caught:
        convert.load_torchvision_resnet(path, *_abstract("resnet18"))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def _truncated(path):
    _save(path, {"conv1.weight": np.arange(4000.0)})
    path.write_bytes(path.read_bytes()[:9000])


def _pickled_objects(path):
    np.savez(path, weights=np.array([{"a": 1}], dtype=object))


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        (
            "no.safetensors",
            lambda _: None,
            "is no file; check --config.model.pretrained",
        ),
        ("cut.safetensors", _truncated, "cannot be read.*truncated"),
        ("cut.npz", _truncated, "cannot be read.*truncated"),
        ("objects.npz", _pickled_objects, "cannot be read.*allow_pickle=False"),
        ("weights.h5", lambda path: path.touch(), "read from .safetensors or .npz"),
    ],
)
def test_unreadable_files(tmp_path, name, write, message):
    path = tmp_path / name
    write(path)
    with pytest.raises(CheckpointError, match=message) as caught:
        convert.load_torchvision_resnet(path, *_abstract("resnet18"))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".pth"])
def test_pickles_are_refused_with_the_conversion(tmp_path, suffix):
    path = tmp_path / f"resnet50-0676ba61{suffix}"
    path.touch()
    with pytest.raises(CheckpointError) as caught:
        convert.load_torchvision_resnet(path, {}, {})
    assert (
        'python -c "import torch, safetensors.torch as s; '
        "s.save_file({k: v for k, v in "
        f"torch.load('{path}', weights_only=True).items()}}, "
        f"'{path.with_suffix('.safetensors')}')\""
    ) in str(caught.value)
