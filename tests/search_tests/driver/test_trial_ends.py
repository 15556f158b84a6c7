"""What is told of a trial that ended, to whom, and in which order."""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from search.driver.trial_ends import TrialEnds
from search.driver.trial_in_flight import TrialInFlight
from search.sampling.history import PlanResult
from search.sampling.study import AskedTrial
from search.trials.ranking import TrialRow, TrialState
from search.trials.spending import TrialSpending
from spaces.study_file.study import StudySettings

Settings = Callable[..., StudySettings]


class Heard:
    """A study and a record at once, which note what they are told."""

    def __init__(self) -> None:
        self.history = SimpleNamespace(results=dict[Any, PlanResult](), measures=list[Any]())
        self.calls: list[str] = []
        self.rows: list[TrialRow] = []
        self.baselines: list[int | None] = []

    def trial_finished(
        self,
        row: TrialRow,
        *,
        baseline: TrialRow | None,
        outcomes: Mapping[str, str] | None = None,
    ) -> None:
        self.calls.append("trial_finished")
        self.rows.append(row)
        self.baselines.append(baseline.number if baseline else None)

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *given, **more: self.calls.append(name)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def ends(heard: Heard, settings_of: Settings) -> TrialEnds:
    return TrialEnds(heard, settings_of(), heard)  # type: ignore[arg-type]


def live_of(
    planted: Any, number: int, source: str | None, level: float | None = None
) -> TrialInFlight:
    live = TrialInFlight(AskedTrial(number, {}, planted.plan(source)), set(), 0)
    if level is not None:
        live.end = {"state": "scored", "scores": planted.scores(level).to_dict()}
    return live


def test_the_record_hears_of_a_trial_before_optuna_does(
    ends: TrialEnds, heard: Heard, planted: Any
) -> None:
    row = ends.tell(live_of(planted, 0, None, 0.5), TrialSpending())
    assert row.state is TrialState.SCORED
    assert heard.calls == ["note_spending", "trial_finished", "tell_scored"]


def test_a_trial_is_compared_with_the_baselines_so_far(
    ends: TrialEnds, heard: Heard, planted: Any
) -> None:
    for number, source in enumerate(("fact", None, "fact")):
        ends.tell(live_of(planted, number, source, 0.5), TrialSpending())
    assert heard.baselines == [None, 1, 1]


def test_pruned_and_broken_trials_are_told_as_such(
    ends: TrialEnds, heard: Heard, planted: Any
) -> None:
    pruned = live_of(planted, 0, "fact")
    pruned.pruned, pruned.probed, pruned.scores = True, 0.4, planted.scores(0.4)
    assert ends.tell(pruned, TrialSpending()).state is TrialState.PRUNED
    assert ends.tell(live_of(planted, 1, "fact"), TrialSpending()).state is TrialState.FAILED
    assert [call for call in heard.calls if call.startswith("tell")] == [
        "tell_pruned",
        "tell_failed",
    ]


def test_an_equal_plan_is_told_what_the_first_one_got(
    ends: TrialEnds, heard: Heard, planted: Any
) -> None:
    asked = AskedTrial(7, {}, planted.plan("fact"))
    assert not ends.tell_duplicate(asked)
    assert heard.calls == []
    heard.history.results[asked.plan] = PlanResult(2, (0.6,), {})
    assert ends.tell_duplicate(asked)
    assert heard.calls == ["trial_started", "trial_finished", "tell_duplicate"]
    (row,) = heard.rows
    assert (row.state, row.duplicate_of, row.objective) == (TrialState.DUPLICATE, 2, 0.6)
