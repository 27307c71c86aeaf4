from cellrec_jax.check import text
from cellrec_jax.check.estimate import Estimate
from cellrec_jax.check.folder import Report, ordered
from cellrec_jax.check.rules import NOTE, finding


def _report(*findings):
    return Report("set", "voc", (), {"a": 3, "b": 1}, {}, 9.0, 1.0, ordered(findings))


def test_findings_stand_by_weight_and_rule_with_three_examples():
    near = [finding("near", f"{i % 2}", f"text {i}", (i, 10 * i)) for i in range(5)]
    stray = finding("parts", "0", "2 parts", (1, 2), weight=NOTE)
    said = text.lines(_report(stray, *near, finding("class-rare", "", "'b' has 1")))
    assert said[0] == "set: voc, 0 images, 4 cells (a 3, b 1)"
    assert [line for line in said if line.endswith("s:")] == ["warnings:", "notes:"]
    start = said.index("warnings:")
    assert said[start + 1].startswith("  near (5 in 2 images): ")
    assert said[start + 2] == "    0 (x 0, y 0): text 0"
    assert said[start + 3] == "    1 (x 10, y 1): text 1"
    assert said[start + 5] == "    and 2 more"
    assert said[start + 6].startswith("    -> ")
    assert said[-1] == "0 errors, 5 warnings, 2 notes"
    assert "    'b' has 1" in said


def test_nothing_found():
    assert text.lines(_report())[1:] == ["", "0 errors, 0 warnings, 0 notes"]


def test_an_estimate_and_what_it_rests_on():
    told = Estimate(0.25, 0.2, 0.31, "precision", (0.8, 0.75, 0.9), 90, 100, 60, "")
    head, share, rests, note = text.of_estimate(told, ["odd"])
    assert head == "by the model:"
    assert "25 %" in share
    assert "20 to 31 %" in share
    assert "40 of 100 detections" in rests
    assert "80 % of its detections are cells (75 to 90 %)" in rests
    assert note == "  odd"
    told = told._replace(share=None, by="ranking", precision=(), why_not="too few")
    _, share, rests = text.of_estimate(told)
    assert "cannot tell" in share
    assert "too few (20 to 31 %)" in share
    assert "at most" in rests
