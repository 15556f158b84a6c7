"""The stored summary, of this version and of older ones."""

from typing import Any

import pytest

from search.findings.study_summary import StudySummary
from spaces.refusal import Refusal


def test_a_summary_is_read_with_its_verdicts(planted: Any) -> None:
    stored = {
        "verdicts": {"trial": 3, "baseline": 1, "languages": planted.verdict_cells()},
        "importance": {"rate": 1.0},
        "importances": {"hours": {"rate": 0.4}},
        "pareto": [3, 2],
        "priors": None,
        "exhausted": "space",
        "num_trials": 9,
    }
    summary = StudySummary.read(stored)
    assert summary.verdicts is not None
    assert summary.verdicts.languages == planted.verdicts_of(planted.verdict_cells())
    assert summary.importance_by_objective == {"hours": {"rate": 0.4}}
    assert (summary.pareto, summary.ran_out_of) == ((3, 2), "space")


def test_summaries_of_older_versions_lack_keys() -> None:
    assert StudySummary.read({}) == StudySummary()
    older = StudySummary.read({"importance": {"rate": 1.0}, "is_exhausted": True})
    assert older.importance_by_objective == {"the objective": {"rate": 1.0}}
    assert older.ran_out_of == "sampler"
    assert StudySummary.read({"is_exhausted": False}).ran_out_of is None


def test_a_damaged_summary_is_refused_with_its_key() -> None:
    with pytest.raises(Refusal, match=r"^the study's summary in the record .* pareto"):
        StudySummary.read({"pareto": "three"})
