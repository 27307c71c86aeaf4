from cellrec_jax import methods
from cellrec_jax.config import keys


def test_every_key_has_a_line_with_its_value():
    for name in methods.METHODS:
        experiment = methods.freeze({"method": name})
        found = [x for x in keys.lines(experiment) if x.startswith("--config.")]
        known = dict(x.removeprefix("--config.").split("=", 1) for x in found)
        flat = methods.flatten(experiment)
        assert known.keys() == flat.keys()
        assert known["batch_size"] == "1"
        assert known["data.size_hw"] == "800,800"


def test_meaning_and_limits_stand_below_the_key():
    experiment = methods.changed(
        methods.freeze({"method": "calibrated_rcnn"}), {"loss.epsilon": 0.25}
    )
    found = list(keys.lines(experiment))
    meaning = found[found.index("--config.loss.epsilon=0.25") + 1]
    assert "label smoothing" in meaning  # said by the class that it extends
    assert "(must be in [0," in meaning
