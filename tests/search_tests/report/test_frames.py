"""Tables of a record: parameters and objectives as columns, and rows of a frame as mappings."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from search.report.frames import rows_of, scores_frame, trials_frame


def test_every_parameter_and_every_objective_is_a_column(planted: Any) -> None:
    rows = planted.study_rows()
    named = (rows[0], replace(rows[3], values={"zero_shot_mean": 0.61, "transfer_gap": 0.2}))
    frame = trials_frame(planted.record_of(named))
    assert list(frame.columns[-5:]) == [
        "params_intermediate",
        "params_target.learning_rate",
        "params_intermediate.learning_rate",
        "values_zero_shot_mean",
        "values_transfer_gap",
    ]
    assert [str(kind) for kind in frame.dtypes[-5:]] == ["string", *["Float64"] * 4]
    assert list(frame["values_transfer_gap"].isna()) == [True, False]


def test_scores_are_those_of_the_rows(planted: Any) -> None:
    (row, *_) = planted.study_rows()
    frame = scores_frame(planted.record_of((row,))).set_index(["target", "language"])
    for target in row.scores.targets:
        for language, score in target.by_language.items():
            assert frame.score[target.task, language] == score
            assert frame.num_rows[target.task, language] == 100


def test_rows_of_a_frame_lack_no_cell() -> None:
    frame = pd.DataFrame({"text_a": ["a", "b"], "text_b": ["c", np.nan], "id": [1, 2]})
    assert rows_of(frame) == [
        {"text_a": "a", "text_b": "c", "id": 1},
        {"text_a": "b", "text_b": None, "id": 2},
    ]
    rows = [{"text_a": "a"}]
    assert rows_of(iter(rows)) == rows
