"""metrics.jsonl survives half-written lines and resumes."""

from cellrec_jax.workdir import writer


def test_rows_round_trip_and_half_a_line_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert writer.read_metrics(path) == []
    for step in (1, 2, 3):
        writer.append_metrics(path, {"step": step, "train/loss": step / 2})
    with path.open("a") as file:
        file.write('{"step": 4, "tra')
    assert [row["step"] for row in writer.read_metrics(path)] == [1, 2, 3]
    writer.truncate_metrics(path, 2)
    assert writer.read_metrics(path) == [
        {"step": 1, "train/loss": 0.5},
        {"step": 2, "train/loss": 1.0},
    ]


def test_json_is_none_where_it_cannot_be_read(tmp_path):
    path = tmp_path / "a.json"
    assert writer.read_json(path) is None
    path.write_text("{")
    assert writer.read_json(path) is None
    writer.write_json(path, {"a": (1, 2.5)})
    assert writer.read_json(path) == {"a": [1, 2.5]}
