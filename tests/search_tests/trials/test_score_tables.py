"""The language matrix as a table, and the scored rows as data sets."""

from dataclasses import replace
from typing import Any

from search.trials.score_tables import matrix, scored_rows


def test_a_row_a_target_language_and_metric(planted: Any) -> None:
    scores = planted.scores(0.6)
    rows = matrix(scores)
    cells = {(row["task"], row["language"]): row["value"] for row in rows if row["is_main"]}
    assert cells == {
        (target.task, language): value
        for target in scores.targets
        for language, value in target.by_language.items()
    }
    assert {row["language"] for row in rows if row["is_source"]} == {"en"}
    assert len({(row["task"], row["language"], row["metric"]) for row in rows}) == len(rows)


def test_a_data_set_a_target(planted: Any) -> None:
    row = planted.scored(0, 0.6, None)
    scores, found = row.scores, scored_rows(row)
    assert [one["name"] for one in found] == [
        f"{t.task} {t.protocol.split}" for t in scores.targets
    ]
    assert [one["digest"] for one in found] == [t.protocol.data for t in scores.targets]
    assert [one["path"] for one in found] == ["pocket"] * len(found)
    assert scored_rows(replace(row, scores=None)) == []
