"""The record of a study as pandas data frames: trials, scores, gains, phases, retrains.

Each column has one type, also in an empty frame: `Int64`, `Float64`, `boolean` and `string` are
pandas' own types, in which any cell may be missing (`pandas.NA`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from search.record.reader import RetrainRow, StudyRecord
from search.trials.ranking import (
    Baselines,
    TrialRow,
    is_collapsed,
    paired_gain,
    transfer_gain,
)
from spaces.phases import TrialPlan
from trainables.scoring.scores import Scores

Cells = Mapping[str, Any]
Types = Mapping[str, str]

TRIALS: Types = {
    "trial": "Int64",
    "state": "string",
    "plan": "string",
    "intermediate": "string",
    "seed": "Int64",
    "objective": "Float64",
    "transfer_gain": "Float64",
    "paired_gain": "Float64",
    "largest_drop": "Float64",
    "may_win": "boolean",
    "is_collapsed": "boolean",
    "seconds": "Float64",
    "num_reused": "Int64",
    "duplicate_of": "Int64",
    "reason": "string",
}
_SCORE: Types = {
    "target": "string",
    "language": "string",
    "is_source": "boolean",
    "metric": "string",
    "score": "Float64",
    "num_rows": "Int64",
    "mark": "string",
}
SCORES: Types = {"trial": "Int64", **_SCORE}
GAINS: Types = {
    "trial": "Int64",
    "baseline": "Int64",
    "intermediate": "string",
    "target": "string",
    "language": "string",
    "is_source": "boolean",
    "score": "Float64",
    "baseline_score": "Float64",
    "gain": "Float64",
}
PHASES: Types = {
    "key": "string",
    "parent": "string",
    "name": "string",
    "learning_rate": "Float64",
    "num_steps": "Int64",
    "num_examples": "Int64",
    "num_tokens": "Int64",
    "seconds": "Float64",
    "dev_score": "Float64",
    "retried": "boolean",
    "loss_fell": "boolean",
}
RETRAINS: Types = {
    "retrain": "string",
    "role": "string",
    "seed": "Int64",
    "state": "string",
    "plan": "string",
    "reason": "string",
    **_SCORE,
}


def trials_frame(record: StudyRecord) -> pd.DataFrame:
    """One row a trial; see `search.recorded_study.Study.trials`."""
    baselines = Baselines.among(record.rows)
    params = list(dict.fromkeys(name for row in record.rows for name in row.params))
    frame = _frame((_trial(row, baselines) for row in record.rows), TRIALS)
    for name in params:
        column = pd.Series([row.params.get(name) for row in record.rows], index=frame.index)
        frame[f"params_{name}"] = column.convert_dtypes()
    for name in dict.fromkeys(name for row in record.rows for name in row.values):
        values = [row.values.get(name) for row in record.rows]
        frame[f"values_{name}"] = pd.Series(values, index=frame.index, dtype="Float64")
    return frame


def scores_frame(record: StudyRecord) -> pd.DataFrame:
    """One row a trial, target and language; see `search.recorded_study.Study.scores`."""
    cells = ({"trial": row.number, **score} for row in record.rows for score in _scores(row.scores))
    return _frame(cells, SCORES)


def gains_frame(record: StudyRecord) -> pd.DataFrame:
    """One row a trial, target and language; see `search.recorded_study.Study.gains`."""
    baselines = Baselines.among(record.rows)
    return _frame((gain for row in record.rows for gain in _gains(row, baselines)), GAINS)


def phases_frame(record: StudyRecord) -> pd.DataFrame:
    """One row a trained phase; see `search.recorded_study.Study.phases`."""
    return _frame((row.to_dict() for row in record.phases), PHASES)


def retrains_frame(record: StudyRecord) -> pd.DataFrame:
    """One row a run, target and language; see `search.recorded_study.Study.retrains`."""
    return _frame((cells for row in record.retrains for cells in _retrain(row)), RETRAINS)


def rows_of(rows: pd.DataFrame | Iterable[Cells]) -> list[Cells]:
    """The rows of a data frame as mappings, a missing cell as None; or the mappings themselves."""
    if not isinstance(rows, pd.DataFrame):
        return list(rows)
    cells = rows.astype(object)
    records = cells.where(cells.notna(), None).to_dict("records")
    return [{str(column): cell for column, cell in record.items()} for record in records]


def _frame(rows: Iterable[Cells], types: Types) -> pd.DataFrame:
    frame = pd.DataFrame([dict(row) for row in rows], columns=list(types), dtype=object)
    return frame.astype(dict(types))


def _trial(row: TrialRow, baselines: Baselines) -> Cells:
    return {
        "trial": row.number,
        "state": row.state.value,
        "plan": str(row.plan),
        "intermediate": _intermediate(row.plan),
        "seed": row.plan.seed,
        "objective": row.objective,
        "transfer_gain": transfer_gain(row, baselines.of(row)),
        "paired_gain": paired_gain(row, baselines),
        "largest_drop": row.largest_drop,
        "may_win": row.may_win,
        "is_collapsed": is_collapsed(row) if row.scores else None,
        "seconds": (row.seconds or {}).get("total"),
        "num_reused": row.num_reused,
        "duplicate_of": row.duplicate_of,
        "reason": row.reason,
    }


def _intermediate(plan: TrialPlan) -> str | None:
    return str(plan.intermediate.mixture) if plan.intermediate else None


def _scores(scores: Scores | None) -> Iterator[dict[str, Any]]:
    for target in scores.targets if scores else ():
        for language, score in target.by_language.items():
            yield {
                "target": target.task,
                "language": language,
                "is_source": language == target.source_language,
                "metric": target.main,
                "score": score,
                "num_rows": target.num_rows.get(language),
                "mark": target.mark.value or None,
            }


def _gains(row: TrialRow, baselines: Baselines) -> Iterator[Cells]:
    """Of a trial that was scored to its end, with an intermediate phase."""
    baseline = baselines.of(row)
    if row.plan.is_baseline or transfer_gain(row, baseline) is None:
        return
    assert baseline is not None
    before = _by_cell(_scores(baseline.scores))
    for cell, score in _by_cell(_scores(row.scores)).items():
        if cell in before:
            yield {
                **score,
                "trial": row.number,
                "baseline": baseline.number,
                "intermediate": _intermediate(row.plan),
                "baseline_score": before[cell]["score"],
                "gain": score["score"] - before[cell]["score"],
            }


def _by_cell(scores: Iterable[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(score["target"], score["language"]): score for score in scores}


def _retrain(row: RetrainRow) -> Iterator[Cells]:
    """A run without scores has one row, without a target."""
    run = {
        "retrain": row.name,
        "role": row.role,
        "seed": row.seed,
        "state": row.state.value,
        "plan": str(row.plan),
        "reason": row.reason,
    }
    scores: Sequence[dict[str, Any]] = list(_scores(row.scores)) or [{}]
    for score in scores:
        yield {**run, **score}
