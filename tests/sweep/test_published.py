"""What was written is read back; lines of other configurations are not."""

from cellrec_jax.sweep import parse, plan, published, state, table


def test_a_record_comes_back_as_it_was(sweep_file, tmp_path):
    sweep = parse.read(sweep_file)
    jobs = [state.prepare(run, tmp_path) for run in plan.expand(sweep, {})[:3]]
    facts = {"seconds": "61.5", "predict_s": "", "parameters": "1234"}
    written = [
        table.Record(
            job.run,
            {"F1": (0.1 + 0.2, 1, None)[i], "AP": None},
            {**facts, table.CONFIG: job.digest, "jax": "1.2"},
        )
        for i, job in enumerate(jobs)
    ]
    other = written[0]._replace(facts={**written[0].facts, table.CONFIG: "another"})
    (tmp_path / "results").mkdir()
    table.write_csv(tmp_path / "results" / "trial.csv", sweep, [*written, other])
    found, num_others = published.read(tmp_path, sweep, jobs)
    assert found == {one.run.name: one for one in written}
    assert num_others == 1


def test_the_folder_of_images_need_not_be_given_again(sweep_file, tmp_path):
    """Of a preset whose generated images are not the default ones."""
    text = sweep_file.read_text().replace("ki67_bde:small", "pdl1_point:small")
    sweep_file.write_text(text)
    sweep = parse.read(sweep_file)
    elsewhere = plan.expand(sweep, {"data.root": "folder"})
    there = [state.prepare(run, tmp_path) for run in elsewhere]
    here = [state.prepare(run, tmp_path) for run in plan.expand(sweep, {})]
    assert all(a.digest != b.digest for a, b in zip(here, there, strict=True))
    written = [
        table.Record(job.run, {"F1": 0.5, "AP": None}, {table.CONFIG: job.digest})
        for job in there
    ]
    (tmp_path / "results").mkdir()
    table.write_csv(tmp_path / "results" / "trial.csv", sweep, written)
    found, num_others = published.read(tmp_path, sweep, here)
    assert (len(found), num_others) == (len(here), 0)
    published.require_all(tmp_path, sweep, here, "advice")
