"""Findings of the planted study, with gains and retrains as a test wants them."""

from dataclasses import replace
from typing import Any

from search.degradation.paired_scores import RetrainFinding
from search.findings.find import find
from search.findings.findings import Findings
from search.trials.gains import SeedGain
from search.trials.ranking import TrialRow


def gain_of(mean: float, half: float | None, seeds: int = 3) -> SeedGain:
    return SeedGain(
        mean=mean,
        low=None if half is None else mean - half,
        high=None if half is None else mean + half,
        std=None if half is None else half / 2,
        num=seeds,
        is_paired=True,
        num_first=seeds,
        num_second=seeds,
        collapsed_first=0,
        collapsed_second=0,
        sound=None,
    )


def retrain_of(gain: SeedGain | None, **fields: Any) -> RetrainFinding:
    given: dict[str, Any] = {
        "name": "trial-3",
        "seeds": (1, 2, 3),
        "gain": gain,
        "gain_over_twin": None,
        "languages": (),
        "num_failed": {},
        "label": "fact",
        "targets": ("rel", "coh"),
    }
    return RetrainFinding(**{**given, **fields})


def found(planted: Any, rows: tuple[TrialRow, ...] | None = None, **fields: Any) -> Findings:
    return replace(
        find(planted.record_of(planted.study_rows() if rows is None else rows)), **fields
    )
