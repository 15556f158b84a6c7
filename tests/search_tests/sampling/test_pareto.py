"""The Pareto set: by hand, and what must hold of any."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search.sampling.pareto import pareto_set
from search.trials.ranking import TrialRow, ranked
from spaces.study_file.study import StudySettings
from trainables.scoring.scores import Mark

NAMES = ["zero_shot_mean", "transfer_gap", "hours"]
few = st.integers(0, 4).map(lambda number: number / 4)  # so that there are ties
trials = st.lists(st.tuples(few, few, few, st.sampled_from([True, False, None])), max_size=12)


def with_values(row: TrialRow, values: Sequence[float], **fields: Any) -> TrialRow:
    return replace(row, values=dict(zip(NAMES, values, strict=True)), **fields)


def test_by_hand(settings_of: Callable[..., StudySettings], planted: Any) -> None:
    rows = [
        with_values(planted.scored(0, 0.5, None), (0.5, 0.2, 0.1)),
        with_values(planted.scored(1, 0.6, "fact"), (0.6, 0.3, 0.2)),
        with_values(planted.scored(2, 0.6, "coh"), (0.6, 0.3, 0.3)),  # dearer than 1
        with_values(planted.scored(3, 0.7, "coh"), (0.7, 0.3, 0.2), is_feasible=False),
        with_values(
            planted.scored(4, 0.3, "fact", rate=9e-4, mark=Mark.COLLAPSED), (0.3, 0.0, 0.1)
        ),
    ]
    study = settings_of(evaluation={"objectives": NAMES})
    assert pareto_set(rows, study) == [1, 0]
    assert pareto_set(rows[3:], study) == []


@given(trials)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_it_is_what_nothing_allowed_dominates_and_begins_with_the_best(
    settings_of: Callable[..., StudySettings], planted: Any, drawn: list[Any]
) -> None:
    row = planted.scored(0, 0.5, "fact")
    rows = [
        with_values(
            replace(row, number=n, plan=planted.plan("fact", rate=(n + 1) / 1000)),
            values,
            is_feasible=feasible,
        )
        for n, (*values, feasible) in enumerate(drawn)
    ]
    found = pareto_set(rows, settings_of(evaluation={"objectives": NAMES}))
    allowed = {
        r.number: (r.values["zero_shot_mean"], -r.values["transfer_gap"], -r.values["hours"])
        for r in rows
        if r.is_feasible is not False
    }
    beaten = {
        n
        for n, own in allowed.items()
        if any(
            o != own and all(a >= b for a, b in zip(o, own, strict=True)) for o in allowed.values()
        )
    }
    assert set(found) == allowed.keys() - beaten
    assert found[:1] == [r.number for r in ranked(rows)[:1] if r.number in allowed]
