import pytest

from cellrec_jax.bench import __main__ as bench
from cellrec_jax.bench import experiments, part_process, parts, predict, steps

WAYS = ("file to cells", "plain loop", "torch loop", "network alone")
SLIDE_WAYS = ("slide to files", "OpenSlide loop", "network alone")
TABLES = {
    **dict.fromkeys(("steps", "torch_steps", "trace"), steps.DTYPES),
    **{"predict": predict.ROWS, "large": WAYS, "slide": SLIDE_WAYS},
}


@pytest.mark.parametrize("quick", [False, True])
def test_flags_are_those_of_benchmarks(tmp_path, quick):
    listed = parts.listed(tmp_path, quick, 2)
    assert {one.name for one in listed} == set(parts._PARTS)
    for part in listed:
        if not part.makes:
            continue
        flags = bench._parse(part.command[3:])
        assert part.command[1:4] == ("-m", "cellrec_jax.bench", part.makes)
        assert flags.name == part.makes
        assert flags.json == tmp_path / "parts" / f"{part.name}.json"
        assert flags.full == ("--full" in part.command)
        if flags.presets:
            experiments.chosen(flags.presets, TABLES[part.makes])
        if not quick and flags.budget_s < float("inf"):
            assert flags.budget_s < part.seconds


def test_all_but_the_last_parts_have_time():
    listed = parts.listed(parts.Path("a"), False, 20)
    last = len(parts.LAST)
    assert [one.name for one in listed[-last:]] == list(parts.LAST)
    assert sum(one.seconds for one in listed[:-last]) <= parts.TOTAL_S
    assert parts.TOTAL_S <= 480 - 2 * part_process.GRACE_S
    assert [one.name for one in listed[:2]] == ["steps_bfloat16", "torch_steps"]
    assert {one.name for one in listed if one.required} == {
        "steps_bfloat16",
        "steps_float32",
    }


def test_the_trace_is_of_as_many_steps(tmp_path):
    names = {one.name: one for one in parts.listed(tmp_path, False, 20)}
    traced = names["trace"].command
    assert traced[traced.index("--steps") + 1] == "20"
    without = {one.name for one in parts.listed(tmp_path, False, 0)}
    assert without == set(names) - {"trace"}


def test_tests_are_compiled_as_users_do(tmp_path, monkeypatch):
    monkeypatch.delenv("XLA_FLAGS")

    def flags(quick):
        (one,) = (p for p in parts.listed(tmp_path, quick, 0) if p.name == "tests")
        return {**parts.environment(tmp_path, quick), **one.environment}["XLA_FLAGS"]

    assert flags(False) == ""
    assert "optimization_level=0" in flags(True)
    monkeypatch.setenv("XLA_FLAGS", "--mine")
    assert flags(False) == flags(True) == "--mine"


@pytest.mark.parametrize(
    ("visible", "taken"), [(None, "0"), ("3,1", "3"), ("2", "2"), ("", "")]
)
def test_the_first_gpu_is_measured(tmp_path, monkeypatch, visible, taken):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert parts.environment(tmp_path, True)["CUDA_VISIBLE_DEVICES"] == taken
