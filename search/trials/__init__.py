"""The trials of a study as rows: their order, baselines, gains, constraints, costs and verdicts."""
