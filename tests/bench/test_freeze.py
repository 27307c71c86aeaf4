import pytest

from cellrec_jax import methods
from cellrec_jax.bench import experiments, freeze


def test_files_hold_what_the_configurations_give_now():
    pytest.importorskip("ml_collections")
    found = {path.name: path.read_text() for path in experiments.PRESETS.iterdir()}
    assert found == freeze.texts(), "run `python -m cellrec_jax.bench freeze`"


@pytest.mark.parametrize("flag", ["ki67_bde", "pdl1_point:small"])
def test_frozen_is_the_same_experiment(flag):
    pytest.importorskip("ml_collections")
    assert methods.from_json(experiments.frozen(flag)) == experiments.load(flag)
    assert experiments.frozen("ki67_bde:none") is None
    assert experiments.frozen("none") is None


def test_command_writes_all_files(tmp_path, capsys):
    pytest.importorskip("ml_collections")
    assert freeze.command(["--out", str(tmp_path)]) == 0
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == sorted(path.name for path in experiments.PRESETS.iterdir())
    assert len(capsys.readouterr().out.splitlines()) == len(written)
