"""Layer-level gradients: by hand, by a loop over images; what compares runs."""

import dataclasses
import functools

from etils import epath
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax import errors, methods
from cellrec_jax.data import arrays, augment, sets
from cellrec_jax.io import table as io_table
from cellrec_jax.methods.calibrated_rcnn import layers
from cellrec_jax.study import __main__ as command
from cellrec_jax.study import gradients
from cellrec_jax.types import Progress
from cellrec_jax.workdir import model as model_lib

NAMES = ("first/kernel", "second/kernel", "second/bias")


def _toy(rng):
    """Two layers, three images of five numbers, and the loss of one image."""
    shapes = {"first": {"kernel": (5, 4)}, "second": {"kernel": (4, 2), "bias": (2,)}}
    params = {
        part: {leaf: rng.normal(size=shape) for leaf, shape in leaves.items()}
        for part, leaves in shapes.items()
    }
    return params, rng.normal(size=(3, 5)), rng.normal(size=(3, 2))


def _loss(params, image, target):
    hidden = jnp.tanh(image @ params["first"]["kernel"])
    found = hidden @ params["second"]["kernel"] + params["second"]["bias"]
    return jnp.sum((found - target) ** 2)


def test_means_are_those_of_the_papers_equations(rng):
    """G by Eq. 16 of a loop over images, A by Eq. 15, mu by Eq. 14."""
    params, images, targets = jax.tree.map(np.float32, _toy(rng))
    of_image = [
        gradients.layer_means(
            functools.partial(_loss, image=image, target=target), params, NAMES
        )
        for image, target in zip(images, targets, strict=True)
    ]
    total = dict.fromkeys(NAMES, 0.0)
    for image, target in zip(images, targets, strict=True):
        for name, one in layers.named(jax.grad(_loss)(params, image, target)).items():
            total[name] = total[name] + np.abs(np.asarray(one)) / len(images)
    expected = []
    for name in NAMES:
        gradient = total[name]
        kernels = gradient.reshape(-1, gradient.shape[-1])  # the last axis counts them
        per_kernel = [kernels[:, k].mean() for k in range(kernels.shape[1])]
        expected.append(np.mean(per_kernel))
    np.testing.assert_allclose(np.mean(of_image, axis=0), expected, rtol=1e-5)


def test_signs_of_images_do_not_cancel():
    """w's gradients are 2 and -2: their mean is 0, the mean of their sizes 2."""
    params = {"w": jnp.ones(3)}
    found = [
        gradients.layer_means(lambda p, s=sign: s * jnp.sum(p["w"]), params, ("w",))
        for sign in (2.0, -2.0)
    ]
    assert np.mean(found, axis=0).tolist() == [2.0]


def test_the_least_wins_and_ties_are_nobodys():
    table = np.array([[1.0, 2.0, 3.0, 0.0], [1.0, 1.0, 4.0, 0.0], [2.0, 5.0, 2.0, 1.0]])
    assert gradients.winners(table).tolist() == [gradients.TIE, 1, 2, gradients.TIE]


@pytest.mark.parametrize(
    ("number", "first", "last"), [(80, 20, 59), (41, 10, 30), (4, 1, 2), (1, 0, 0)]
)
def test_the_middle_half(number, first, last):
    inside = list(range(number))[gradients.middle(number)]
    assert (inside[0], inside[-1]) == (first, last)


def _rows(runs):
    """Rows of (label, rate, run, gradients), layers named a, b, ..."""
    return [
        dict(
            zip(
                gradients.COLUMNS,
                (label, str(rate), name, str(number), "abcdefgh"[number], str(value)),
                strict=True,
            )
        )
        for label, rate, name, values in runs
        for number, value in enumerate(values)
    ]


def test_runs_of_a_label_and_rate_are_averaged():
    rows = _rows(
        [
            ("plain", 1.0, "p1", (1, 2)),
            ("plain", 0.1, "p0", (5, 5)),
            ("BDE", 0.1, "b0", (4, 8)),
            ("BDE", 1.0, "b1", (1, 4)),
            ("BDE", 1.0, "b2", (3, 8)),
        ]
    )
    compared = gradients.compare(rows)
    assert list(compared) == [0.1, 1.0]
    assert compared[1.0]["BDE"].tolist() == [2.0, 6.0]
    assert compared[0.1]["plain"].tolist() == [5.0, 5.0]
    assert list(compared[0.1]) == ["plain", "BDE"]


def test_other_layers_and_missing_rates_are_refused():
    first = ("plain", 0.1, "p0", (1, 2))
    with pytest.raises(errors.ConfigError, match="b0: has other layers than p0"):
        gradients.compare(_rows([first, ("BDE", 0.1, "b0", (1, 2, 3))]))
    both = _rows([first, ("plain", 1.0, "p1", (1, 2)), ("BDE", 0.1, "b0", (1, 2))])
    with pytest.raises(errors.ConfigError, match="BDE: has no run of keep rate 1,"):
        gradients.compare(both)


def test_shares_by_hand():
    """Of four layers the middle two are 1 and 2; the last is a tie."""
    plain, bde = np.array([1.0, 4.0, 1.0, 2.0]), np.array([2.0, 1.0, 4.0, 2.0])
    rows = gradients.shares({0.1: {"plain": plain, "BDE": bde}})
    assert [(row["keep_rate"], row["label"]) for row in rows] == [
        ("0.1", "plain"),
        ("0.1", "BDE"),
        ("all", "plain"),
        ("all", "BDE"),
    ]
    assert [row["all"] for row in rows[:2]] == [0.5, 0.25]
    assert [row["middle"] for row in rows[:2]] == [0.5, 0.5]
    assert [row["rest"] for row in rows[:2]] == [0.5, 0.0]
    assert rows[0]["ratio"] == 1.0
    assert rows[1]["ratio"] == pytest.approx(2 ** (1 / 4))  # of 2, 1/4, 4 and 1
    assert rows[1]["middle_ratio"] == pytest.approx(1.0)
    twice = gradients.shares(
        {0.1: {"plain": plain, "BDE": bde}, 1.0: {"plain": plain, "BDE": plain + 1}}
    )
    assert twice[-2]["all"] == (2 + 4) / 8
    assert twice[-2]["middle"] == (1 + 2) / 4
    none = gradients.shares({0.1: {"plain": plain, "BDE": 0 * plain}})
    assert none[1]["ratio"] is None


def _by_loop(workdir, calibration):
    """Of one image after the other, without vmap: the trained network's own loss."""
    model = model_lib.restore(epath.Path(workdir))
    experiment = methods.changed(model.experiment, {"loss.calibration": calibration})
    method = methods.build(experiment, 1)
    split = sets.open_for_evaluation(experiment.data, experiment.seed, whole=False)
    found = []
    for batch in arrays.eval_batches(sets.load_eval(split).images, 1):
        one = functools.partial(
            method.loss_fn,
            model_state=model.model_state,
            batch=augment.prepare_eval(batch),
            rng=jax.random.key(0),
            progress=Progress(jnp.int32(4), 4),
        )
        grads, _ = jax.jit(jax.grad(one, has_aux=True))(model.params)
        found.append({k: np.abs(v).mean() for k, v in layers.named(grads).items()})
    return {k: np.mean([one[k] for one in found]) for k in found[0]}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "calibration", "chunk"), [("plain", "plain", 1), ("own", "bde", 3)]
)
def test_a_run_is_measured_as_by_a_loop(detectors, loss, calibration, chunk):
    """Of two test images; three at once need a filler, which counts for nothing."""
    run = detectors["BDE"]
    rows = gradients.measure("BDE", run, loss=loss, chunk=chunk)
    expected = _by_loop(run, calibration)
    assert [row["number"] for row in rows] == list(range(1, len(rows) + 1))
    assert rows[0]["layer"] == "resnet/conv1/kernel"  # the stem of random weights
    assert not any("bn" in row["layer"] for row in rows)
    assert {row["keep_rate"] for row in rows} == {0.5}
    for row in rows:
        wanted = pytest.approx(expected[row["layer"]], rel=1e-3, abs=1e-7)
        assert row["gradient"] == wanted, row["layer"]
    assert sum(row["gradient"] > 0 for row in rows) > len(rows) / 2


@pytest.mark.slow
def test_the_command_and_its_table_draw_the_same(detectors, tmp_path, capsys):
    words = [f"{label}={run}" for label, run in detectors.items()]
    out = tmp_path / "f.png"
    assert command.run(["gradients", *words, "--images", "1", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    again = tmp_path / "again.png"
    table = str(tmp_path / "f.csv")
    assert command.run(["gradients", "--from", table, "--out", str(again)]) == 0
    assert capsys.readouterr().out == printed
    assert again.read_bytes() == out.read_bytes()
    assert not (tmp_path / "again.csv").exists()
    rows = io_table.read_rows(table)
    assert tuple(rows[0]) == gradients.COLUMNS
    assert {row["label"] for row in rows} == {"plain", "BDE"}


def test_what_the_command_refuses(tmp_path):
    out = ["--out", str(tmp_path / "f.png")]
    with pytest.raises(errors.ConfigError, match="give work directories, or --from"):
        command.run(["gradients", *out])
    io_table.write_rows(tmp_path / "x.csv", [{"a": 1}], ["a"])
    with pytest.raises(errors.ConfigError, match=r"x\.csv: is no table of this"):
        command.run(["gradients", "--from", str(tmp_path / "x.csv"), *out])


def test_other_methods_are_refused(monkeypatch, tiny_experiment):
    other = methods.freeze({"method": "density_map"})
    model = model_lib.Model(other, None, {}, {}, {}, 0)
    monkeypatch.setattr(model_lib, "restore", lambda _: model)
    with pytest.raises(errors.ConfigError, match="is of density_map"):
        gradients.measure("a", "somewhere")
    literal = methods.changed(tiny_experiment, {"loss.literal": True})
    found = gradients._with_loss(literal, "a", "plain").options
    assert found.loss.calibration == "plain"
    assert found.model == literal.options.model
    own = dataclasses.replace(literal.options, loss=found.loss)
    assert own == found
