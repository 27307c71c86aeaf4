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
