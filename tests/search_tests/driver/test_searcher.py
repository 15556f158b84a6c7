"""The searcher, driven by hand as Tune drives it, with made events and nothing trained."""

import pickle
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState as OptunaState
from ray.tune.search import Searcher

from search.driver.searcher import StudySearcher
from search.sampling import drawing
from search.sampling.study import OptunaStudy
from search.trials.ranking import TrialRow, TrialState
from spaces.phases import Phase, TrialPlan
from spaces.study_file.study import StudySettings
from trainables.on_ray import MAX_FAILURES, pack
from trainables.scoring.scores import Scores, objective
from trainables.store.phase_store import PhaseRecord, PhaseStore
from trainables.training.key_facts import KeyFacts

Settings = Callable[..., StudySettings]
RATE = {"intermediate.learning_rate": 1e-3}


def point(intermediate: str, target: float = 1e-3, **rates: float) -> dict[str, Any]:
    rate = {} if intermediate == "none" else {**RATE, **rates}
    return {"intermediate": intermediate, "target.learning_rate": target, **rate}


class Log:
    """What a search writes to the record."""

    def __init__(self) -> None:
        self.started: list[int] = []
        self.phases: list[str] = []
        self.rows: dict[int, TrialRow] = {}
        self.baselines: dict[int, int | None] = {}
        self.outcomes: dict[int, Mapping[str, str] | None] = {}

    def trial_started(
        self, number: int, *, params: Mapping[str, Any], plan: TrialPlan, phase_keys: list[str]
    ) -> None:
        self.started.append(number)

    def phase_finished(self, row: Any, *, plan_phase: Mapping[str, Any]) -> None:
        self.phases.append(row.key)

    def trial_finished(
        self,
        row: TrialRow,
        *,
        baseline: TrialRow | None,
        outcomes: Mapping[str, str] | None = None,
    ) -> None:
        self.rows[row.number] = row
        self.outcomes[row.number] = outcomes
        self.baselines[row.number] = baseline.number if baseline else None


class Watch:
    def __init__(self) -> None:
        self.num_resumed: int | None = None
        self.events: list[tuple[int, str]] = []

    def resumed(self, num_finished: int) -> None:
        self.num_resumed = num_finished

    def started(self, number: int, plan: TrialPlan) -> None:
        self.events.append((number, "started"))

    def moved(self, number: int, event: Mapping[str, Any]) -> None:
        self.events.append((number, event["event"]))

    def finished(self, row: TrialRow) -> None:
        self.events.append((row.number, "finished"))


class Counting:
    """Any object, and how many attributes of it were used."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.num_uses = 0

    def __getattr__(self, name: str) -> Any:
        if name not in ("history", "is_used_up"):  # kept in memory
            self.num_uses += 1
        return getattr(self._inner, name)


class Drive:
    """A searcher and hands to drive it: `ask` as Tune does, `train` and `end` as a trial does."""

    def __init__(
        self,
        settings: StudySettings,
        url: str,
        folder: Path,
        scores: Callable[..., Scores],
        *,
        is_local: bool = False,
    ) -> None:
        self.settings, self.url, self.make_scores = settings, url, scores
        self.log, self.watch, self.stop = Log(), Watch(), threading.Event()
        self.store = Counting(PhaseStore(folder, owner="tiny"))
        self.study = Counting(OptunaStudy.open(url, settings))
        self.key_facts = KeyFacts("weights", "tokenizer")
        self.searcher = StudySearcher(
            self.study,  # type: ignore[arg-type]
            settings,
            key_facts=self.key_facts,
            store=self.store,  # type: ignore[arg-type]
            log=self.log,
            watch=self.watch,
            stop=self.stop,
            max_concurrent=2,
            is_local=is_local,
        )
        self.plans: dict[str, TrialPlan] = {}

    def ask(self, trial_id: str) -> Any:
        params = self.searcher.suggest(trial_id)
        if isinstance(params, dict):
            self.plans[trial_id] = self.settings.search_space().decode(params)
        return params

    def ask_and_run(self, trial_ids: str) -> None:
        for trial_id in trial_ids:
            self.ask(trial_id)
            self.run(trial_id)

    def give_up(self, trial_id: str) -> None:
        """Its worker breaks as often as it may, and once more."""
        for _ in range(MAX_FAILURES):
            self.searcher.on_trial_complete(trial_id, error=True)
            plan = self.plans[trial_id]
            self.ask(trial_id)
            assert self.plans[trial_id] == plan
        self.searcher.on_trial_complete(trial_id, error=True)

    def keys(self, trial_id: str) -> list[str]:
        return [key for key, _, _ in self.key_facts.stages(self.plans[trial_id])]

    def send(self, trial_id: str, event: Mapping[str, Any]) -> None:
        self.searcher.on_trial_result(trial_id, pack(event))

    def train(self, trial_id: str, index: int) -> None:
        """Commit a phase of the trial's plan, and tell of it."""
        key, parent, phase = self.key_facts.stages(self.plans[trial_id])[index]
        reused = self.store.record(key) is not None
        record = phase_record(key, parent, phase)
        if not reused:
            self.store.commit(record, {"encoder": {}, "heads": {}})
            self.send(trial_id, {"event": "trained", "key": key, "seconds": 2.0})
        self.send(
            trial_id, {"event": "phase", "key": key, "reused": reused, "record": record.to_dict()}
        )

    def end(self, trial_id: str, level: float) -> None:
        scores = self.make_scores(level).to_dict()
        seconds = {"evaluation": 1.0, "total": 3.0}
        end = {"event": "end", "state": "scored", "seconds": seconds, "scores": scores}
        self.send(trial_id, {**end, "outcomes": {"rel": f"rel of {trial_id}"}})
        self.searcher.on_trial_complete(trial_id)

    def run(self, trial_id: str, level: float = 0.5) -> None:
        for index in range(len(self.keys(trial_id))):
            self.train(trial_id, index)
        self.end(trial_id, level)

    def numbers(self) -> list[int]:
        """Trials that were handed out, in order."""
        return [number for number, what in self.watch.events if what == "started"]

    @property
    def trials(self) -> list[optuna.trial.FrozenTrial]:
        return optuna.load_study(study_name="tiny", storage=self.url).trials


def phase_record(key: str, parent: str | None, phase: Phase) -> PhaseRecord:
    return PhaseRecord(key=key, parent=parent, phase=phase.to_dict(), num_steps=20, seconds=2.0)


@pytest.fixture
def drive(
    settings_of: Settings, optuna_url: str, tmp_path: Path, planted: Any
) -> Callable[..., Drive]:
    """A drive over the same database and store each time; arguments as `settings_of` has them."""

    def start(*, is_local: bool = False, **sections: dict[str, Any]) -> Drive:
        home = tmp_path / "home"
        settings = settings_of(**sections)
        return Drive(settings, optuna_url, home, planted.scores, is_local=is_local)

    return start


def space(*points: dict[str, Any], **keys: Any) -> dict[str, Any]:
    """A space whose first plans are the two baselines and these points."""
    return {"points": list(points), **keys}


def test_a_trial_from_start_to_end(drive: Callable[..., Drive]) -> None:
    one = drive(space=space(point("fact")))
    for trial_id in "ab":
        one.ask(trial_id)
        one.run(trial_id, 0.4)
    one.ask("c")
    one.send("c", {"event": "start", "seconds": 3.5})
    one.run("c", 0.6)
    row = one.log.rows[2]
    assert row.state is TrialState.SCORED
    assert row.plan == one.plans["c"]
    assert row.scores == one.make_scores(0.6)
    assert row.objective == objective(row.scores, one.settings.evaluation.selection)
    assert list(row.phase_keys) == one.keys("c")
    assert row.seconds is not None
    assert row.seconds["startup"] == 3.5
    assert row.seconds["training"] == 4.0
    assert row.seconds["evaluation"] == 1.0
    assert row.seconds["total"] >= 0
    assert one.log.baselines == {0: 0, 1: 0, 2: 0}
    assert one.log.outcomes == {n: {"rel": f"rel of {i}"} for n, i in enumerate("abc")}
    assert sorted(one.log.phases) == sorted({*one.keys("a"), *one.keys("b"), *one.keys("c")})
    trial = one.trials[2]
    assert (trial.state, trial.value) == (OptunaState.COMPLETE, row.objective)
    assert [e for n, e in one.watch.events if n == 2] == [
        "started",
        "start",
        "trained",
        "phase",
        "trained",
        "phase",
        "end",
        "finished",
    ]


def test_hours_are_those_of_the_plan_whoever_trained_its_phases(
    drive: Callable[..., Drive],
) -> None:
    points = [point("fact"), point("fact", 3e-3), point("fact")]
    evaluation = {"objectives": ["hours", "worst_language"], "max_drop": 0.05}
    one = drive(space=space(*points), evaluation=evaluation, budget={"num_trials": 4})
    for trial_id, level in zip("abcd", (0.5, 0.5, 0.6, 0.2), strict=True):
        one.ask(trial_id)
        one.run(trial_id, level)
    # Phases of two seconds and one second of scoring; trial 3 found the first one in the store.
    hours = [row.values["hours"] * 3600 for row in one.log.rows.values()]
    assert hours == pytest.approx([3.0, 3.0, 5.0, 5.0])
    assert one.log.rows[3].num_reused == 1
    assert [row.is_feasible for row in one.log.rows.values()] == [True, True, True, False]
    assert [row.largest_drop for row in one.log.rows.values()] == pytest.approx(
        [0.0, 0.0, -0.1, 0.3]
    )
    for number, row in one.log.rows.items():
        assert one.trials[number].values == list(row.values.values())
        assert row.sure_drop is not None
        assert one.trials[number].constraints == {"max_drop": pytest.approx(row.sure_drop - 0.05)}
    again = drive(space=space(*points), evaluation=evaluation, budget={"num_trials": 5})
    assert [measure.objective for measure in again.study.history.measures] == [0.5, 0.5]
    again.ask("e")  # a third time the same plan is a duplicate; the next one is drawn
    duplicate = again.log.rows[4]
    assert (duplicate.duplicate_of, duplicate.values) == (2, one.log.rows[2].values)


def test_plans_wait_for_a_phase_in_training(drive: Callable[..., Drive]) -> None:
    points = [point("fact"), point("fact", 3e-3), point("coh")]
    one = drive(space=space(*points), budget={"num_trials": 5})
    one.ask_and_run("ab")
    one.ask("c")
    assert one.ask("d")["intermediate"] == "coh", "the plan in between waits"
    assert one.numbers() == [0, 1, 2, 4]
    assert one.ask("e") is None, "all of the budget is in flight or held"
    one.train("c", 0)
    assert one.ask("e") == point("fact", 3e-3), "its stem is there now"
    assert one.numbers() == [0, 1, 2, 4, 3]
    for trial_id in "cde":
        one.run(trial_id)
    assert one.ask("f") == Searcher.FINISHED
    assert [trial.state for trial in one.trials] == [OptunaState.COMPLETE] * 5


def test_held_plans_are_released_in_order(drive: Callable[..., Drive]) -> None:
    points = [point("fact"), point("fact", 3e-3), point("coh+fact"), point("coh+fact", 3e-3)]
    one = drive(space=space(*points), budget={"num_trials": 6})
    one.ask_and_run("ab")
    one.ask("c")
    assert one.ask("d")["intermediate"] == "coh+fact"
    assert one.ask("e") is None
    assert len(one.trials) == 6, "two are held: no more are asked"
    one.train("d", 0)
    one.train("c", 0)
    assert [one.ask("e"), one.ask("f")] == [point("fact", 3e-3), point("coh+fact", 3e-3)]
    assert one.numbers() == [0, 1, 2, 4, 3, 5]


def test_only_so_many_are_held(drive: Callable[..., Drive]) -> None:
    points = [point("fact", rate) for rate in (1e-3, 3e-3)]
    one = drive(space=space(*points, *points, *points), budget={"num_trials": 8})
    one.ask_and_run("ab")
    one.ask("c")
    for _ in range(5):
        assert one.ask("d") is None
    assert len(one.trials) == 5, "one runs, two are held"


def test_nothing_is_held_when_nothing_is_in_flight(drive: Callable[..., Drive]) -> None:
    """The trial in flight dies before it trained what the held one waits for."""
    one = drive(space=space(point("fact"), point("fact", 3e-3)), budget={"num_trials": 4})
    one.ask_and_run("ab")
    one.ask("c")
    assert one.ask("d") is None
    one.send("c", {"event": "error", "reason": "OSError: no space"})
    one.give_up("c")
    assert one.log.rows[2].state is TrialState.FAILED
    assert one.log.rows[2].reason == "OSError: no space"
    assert one.ask("d") == point("fact", 3e-3)
    one.run("d")
    assert one.ask("e") == Searcher.FINISHED


def test_a_dead_trainer_releases_its_phases(drive: Callable[..., Drive]) -> None:
    points = [point("fact"), point("coh"), point("fact", 3e-3)]
    one = drive(space=space(*points), budget={"num_trials": 5})
    one.ask_and_run("ab")
    one.ask("c")
    one.ask("d")
    assert one.ask("e") is None
    one.give_up("c")
    assert one.ask("e") == point("fact", 3e-3), "though another trial is still in flight"
    assert one.log.rows[2].reason == "its worker died"


def test_a_poll_that_finds_nothing_touches_nothing(drive: Callable[..., Drive]) -> None:
    one = drive(space=space(point("fact"), point("fact", 3e-3)), budget={"num_trials": 4})
    one.ask_and_run("ab")
    one.ask("c")
    assert one.ask("d") is None
    one.study.num_uses = one.store.num_uses = 0
    for _ in range(100):
        assert one.ask("d") is None
    assert (one.study.num_uses, one.store.num_uses) == (0, 0)
    one.train("c", 1)
    uses = one.study.num_uses
    for _ in range(100):
        one.ask("d")
    assert one.study.num_uses == uses


def test_the_budget_ends_the_search(drive: Callable[..., Drive]) -> None:
    one = drive(budget={"num_trials": 2})
    one.ask("a")
    one.ask("b")
    assert one.ask("c") is None
    one.run("a")
    assert one.ask("c") is None
    one.run("b")
    assert one.ask("c") == Searcher.FINISHED
    assert one.searcher.is_done
    assert not one.searcher.is_stopped
    assert drive(budget={"num_trials": 2}).searcher.is_done
    assert not drive(budget={"num_trials": 3}).searcher.is_done


def test_duplicates_are_told_at_once_and_not_counted(drive: Callable[..., Drive]) -> None:
    points = [point("fact"), point("none"), point("coh")]
    one = drive(space=space(*points), budget={"num_trials": 4})
    for trial_id, level in zip("abc", (0.3, 0.4, 0.5), strict=True):
        one.ask(trial_id)
        one.run(trial_id, level)
    assert one.ask("d") == point("coh"), "the baseline is not run again"
    assert one.numbers() == [0, 1, 2, 4]
    row = one.log.rows[3]
    assert (row.state, row.duplicate_of) == (TrialState.DUPLICATE, 0)
    assert row.objective == one.log.rows[0].objective
    assert one.trials[3].value == one.trials[0].value
    one.run("d")
    assert one.ask("e") == Searcher.FINISHED


@pytest.mark.parametrize("sampler", ["random", "tpe", "gp", "nsga2"])
def test_every_plan_is_run_once_and_then_the_space_is_exhausted(
    sampler: str, drive: Callable[..., Drive]
) -> None:
    small = {"intermediate": ["none", "fact", "coh"], "intermediate_learning_rate": [1e-3]}
    sections = {"space": small, "study": {"sampler": sampler}, "budget": {"num_trials": 100}}
    one = drive(**sections)
    while one.ask("x") != Searcher.FINISHED:
        one.run("x", 0.5 + len(one.log.rows) / 100)
    assert one.study.exhausted == "space"
    assert len({row.plan for row in one.log.rows.values()}) == len(one.log.rows) == 6
    assert all(row.state is TrialState.SCORED for row in one.log.rows.values())
    again = drive(**sections)
    assert again.searcher.is_done, "nothing is started to find that out"
    assert again.study.exhausted == "space"


def test_plans_in_flight_are_not_asked_again_while_others_are_left(
    drive: Callable[..., Drive],
) -> None:
    small = {"intermediate": ["none", "fact"], "intermediate_learning_rate": [1e-3]}
    one = drive(space=small, budget={"num_trials": 100})
    for trial_id in "abc":
        assert isinstance(one.ask(trial_id), dict)
    assert one.ask("d") is None, "the fourth needs what the third trains"
    for trial_id in "abc":
        one.run(trial_id)
    assert isinstance(one.ask("d"), dict)
    assert one.ask("e") is None, "all of them are tried or in flight"
    assert len(one.trials) == 4
    one.give_up("d")
    assert isinstance(one.ask("e"), dict), "its worker broke, which says nothing of it"
    one.give_up("e")
    assert one.ask("f") == Searcher.FINISHED, "but not for ever"
    assert len(one.trials) == 5


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_sampler_that_proposes_nothing_new_ends_the_search(
    drive: Callable[..., Drive], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a range there is always another plan; not for a sampler that is sure of one."""
    sure = optuna.samplers.PartialFixedSampler(point("fact"), optuna.samplers.RandomSampler(seed=0))
    monkeypatch.setattr(drawing, "sampler_for", lambda settings, index, fixed: sure)
    rates = {"low": 1e-4, "high": 1e-2}
    one = drive(space={"intermediate_learning_rate": rates, "target_learning_rate": rates})
    monkeypatch.setattr(one.study._inner._proposals, "_points", [])
    assert one.ask("a") == point("fact")
    assert one.ask("b") is None, "what is in flight may change its mind"
    one.run("a")
    assert one.ask("b") == Searcher.FINISHED
    assert one.study.exhausted == "sampler"
    assert len(one.trials) == 1


def test_an_equal_plan_in_flight_is_held_then_told(drive: Callable[..., Drive]) -> None:
    one = drive(space=space(point("none")), budget={"num_trials": 3})
    one.ask("a")
    one.ask("b")
    assert one.ask("c") is None
    one.train("a", 0)
    assert one.ask("c") is None, "its phase is there, but the plan is being scored"
    one.end("a", 0.45)
    asked = one.ask("c")
    assert one.log.rows[2].duplicate_of == 0
    assert isinstance(asked, dict), "and another plan is asked instead"
    assert one.numbers()[:2] == [0, 1]
    assert 2 not in one.numbers()


def test_a_trial_that_diverged_fails_with_its_reason(drive: Callable[..., Drive]) -> None:
    one = drive()
    one.ask("a")
    scores = one.make_scores(0.4).to_dict()
    one.searcher.should_prune(
        "a", pack({"event": "rung", "rung": 0, "probe": scores, "scores": scores})
    )
    end = {"event": "end", "state": "failed", "reason": "loss was not finite, twice"}
    one.send("a", {**end, "seconds": {"evaluation": 0.5, "total": 1}})
    one.searcher.on_trial_complete("a")
    row = one.log.rows[0]
    assert (row.state, row.reason) == (TrialState.FAILED, "loss was not finite, twice")
    assert (row.objective, row.scores) == (None, None), "a part of the targets is no score"
    trial = one.trials[0]
    assert trial.state is OptunaState.FAIL
    assert trial.user_attrs["reason"] == row.reason
    assert one.study.history.num_counted == 1
    assert one.plans["a"] in one.study.history.results


def test_a_plan_whose_worker_died_may_be_tried_again(drive: Callable[..., Drive]) -> None:
    one = drive(space=space(point("none")), budget={"num_trials": 4})
    one.ask("a")
    one.give_up("a")
    one.ask("b")
    one.run("b")
    assert one.ask("c") == point("none")
    one.run("c", 0.5)
    assert one.log.rows[2].state is TrialState.SCORED


def test_a_pruned_trial_keeps_its_scores_so_far(drive: Callable[..., Drive]) -> None:
    points = [point("fact"), point("fact", 3e-3), point("coh"), point("coh", 3e-3)]
    one = drive(study={"pruner": "lowest_third"}, budget={"num_trials": 8}, space=space(*points))
    rung = {"event": "rung", "rung": 0}
    for trial_id in "abcde":
        one.ask(trial_id)
        scores = one.make_scores(0.6).to_dict()
        result = pack({**rung, "probe": scores, "scores": scores})
        assert not one.searcher.should_prune(trial_id, result)
        one.run(trial_id, 0.6)
    one.ask("f")
    low = one.make_scores(0.2)
    assert one.searcher.should_prune(
        "f", pack({**rung, "probe": low.to_dict(), "scores": low.to_dict()})
    )
    one.searcher.on_trial_complete("f")
    row = one.log.rows[max(one.log.rows)]
    assert row.state is TrialState.PRUNED
    assert row.scores == low
    assert row.reason is None
    assert one.trials[row.number].state is OptunaState.PRUNED
    assert one.trials[row.number].value == pytest.approx(row.objective)


def test_a_rung_of_a_target_that_does_not_count(drive: Callable[..., Drive]) -> None:
    """It is not what the sampler learns from: there is nothing to prune by."""
    one = drive(study={"pruner": "lowest_third"})
    one.ask("a")
    whole = one.make_scores(0.6)
    part = Scores(targets=whole.targets[-1:], of_interest=whole.of_interest)
    scores = part.to_dict()
    assert not one.searcher.should_prune(
        "a", pack({"event": "rung", "rung": 0, "probe": scores, "scores": scores})
    )
    assert one.trials[0].intermediate_values == {}
    one.give_up("a")
    assert one.log.rows[0].scores is None


def test_events_of_unknown_trials_and_results_without_an_event(
    drive: Callable[..., Drive],
) -> None:
    one = drive()
    one.send("nobody", {"event": "start", "seconds": 1.0})
    one.searcher.on_trial_result("nobody", {"done": True})
    assert not one.searcher.should_prune("nobody", {"done": True})
    one.ask("a")
    one.searcher.on_trial_result("a", {"done": True, "training_iteration": 4})
    assert not one.searcher.should_prune("a", {"done": True})
    one.searcher.on_trial_complete("nobody")
    assert one.log.rows == {}


def test_a_trial_whose_worker_died_is_started_again_and_is_one_trial(
    drive: Callable[..., Drive],
) -> None:
    """Before anything else, and nobody trains meanwhile what it was training."""
    one = drive(space=space(point("fact"), point("fact", 3e-3)), budget={"num_trials": 4})
    one.ask_and_run("ab")
    one.ask("c")
    one.train("c", 0)
    hours_ago(one, 2, 1)
    one.send("c", {"event": "error", "reason": "killed"})
    one.searcher.on_trial_complete("c", error=True)
    assert 2 not in one.log.rows
    assert not one.searcher.is_done
    assert one.searcher.is_drained
    assert one.watch.events[-1] == (2, "again")
    assert one.ask("d") == point("fact")
    assert one.plans["d"] == one.plans["c"]
    assert isinstance(one.ask("e"), dict), "its first phase is there"
    one.train("d", 0)  # from the start, in another worker
    one.run("d", 0.7)
    row = one.log.rows[2]
    assert list(row.phase_keys) == one.keys("d")
    assert (row.state, row.reason) == (TrialState.SCORED, None)
    assert one.numbers() == [0, 1, 2, 3]
    assert one.searcher._spending.took(2).seconds == pytest.approx(3600, abs=5)


def test_what_a_trial_was_training_is_not_trained_by_another_before_it_goes_on(
    drive: Callable[..., Drive],
) -> None:
    one = drive(space=space(point("fact"), point("fact", 3e-3)), budget={"num_trials": 4})
    one.ask_and_run("ab")
    one.ask("c")
    assert one.ask("d") is None, "it would train the same intermediate phase"
    one.searcher.on_trial_complete("c", error=True)
    assert one.ask("d") == point("fact"), "the one that broke comes first"
    assert one.ask("e") is None


def test_a_worker_that_dies_after_its_trial_ended_costs_nothing(
    drive: Callable[..., Drive],
) -> None:
    one = drive()
    one.ask("a")
    for index in range(len(one.keys("a"))):
        one.train("a", index)
    scores = one.make_scores(0.4).to_dict()
    seconds = {"evaluation": 0.5, "total": 1}
    one.send("a", {"event": "end", "state": "scored", "scores": scores, "seconds": seconds})
    one.searcher.on_trial_complete("a", error=True)
    assert one.log.rows[0].state is TrialState.SCORED


def test_a_full_disk_ends_the_search_and_no_trial_fails(drive: Callable[..., Drive]) -> None:
    sections = {"space": space(point("fact"), point("coh")), "budget": {"num_trials": 4}}
    one = drive(**sections)
    one.ask("a")
    one.run("a")
    one.ask("b")
    reason = "OSError: [Errno 28] No space left on device: 'weights.safetensors'"
    for _ in range(MAX_FAILURES):
        one.send("b", {"event": "error", "reason": reason})
        one.searcher.on_trial_complete("b", error=True)
        assert not one.searcher.is_stopped, "another worker may have room"
        one.ask("b")
    one.send("b", {"event": "error", "reason": reason})
    one.searcher.on_trial_complete("b", error=True)
    assert one.searcher.is_stopped
    assert one.searcher.disk_full == reason
    assert one.ask("c") == Searcher.FINISHED
    assert one.log.rows.keys() == {0}
    assert one.trials[1].state is OptunaState.RUNNING

    plan = one.plans["b"]
    local = drive(**sections, is_local=True)
    local.ask("a")
    assert local.plans["a"] == plan
    local.send("a", {"event": "error", "reason": reason})
    local.searcher.on_trial_complete("a", error=True)
    assert local.searcher.disk_full == reason, "all workers share the disk"
    assert not local.log.rows

    two = drive(**sections)
    two.ask("a")
    assert two.plans["a"] == plan
    two.run("a")
    assert two.log.rows[1].state is TrialState.SCORED


def test_a_stopped_search_is_taken_up_under_its_numbers(drive: Callable[..., Drive]) -> None:
    sections = {"space": space(point("fact"), point("coh")), "budget": {"num_trials": 4}}
    one = drive(**sections)
    one.ask("a")
    one.run("a")
    one.ask("b")
    one.ask("c")
    one.stop.set()
    assert one.ask("d") == Searcher.FINISHED
    one.searcher.on_trial_complete("b")
    one.searcher.on_trial_complete("c", error=True)
    assert one.log.rows.keys() == {0}
    assert [t.state for t in one.trials[1:]] == [OptunaState.RUNNING] * 2

    two = drive(**sections)
    assert two.watch.num_resumed == 1
    assert two.ask("a") == one.trials[1].params
    assert two.ask("b") == one.trials[2].params
    assert two.numbers() == [1, 2]
    two.run("a")
    two.run("b")
    assert two.ask("c") == point("coh")
    two.run("c")
    assert two.ask("d") == Searcher.FINISHED
    assert [t.state for t in two.trials] == [OptunaState.COMPLETE] * 4
    assert len(two.trials) == 4


def test_only_trials_that_have_begun_are_waited_for(drive: Callable[..., Drive]) -> None:
    one = drive()
    one.ask("a")
    one.ask("b")
    assert one.searcher.is_drained, "their workers are not there yet"
    one.send("a", {"event": "start", "seconds": 1.0})
    assert not one.searcher.is_drained
    one.stop.set()
    one.send("a", {"event": "drained", "reason": "saved at step 10"})
    one.searcher.on_trial_complete("a")
    assert one.searcher.is_drained
    assert [asked.number for asked in drive().study.running()] == [0, 1], "both are gone on with"


def test_what_was_left_runs_though_the_budget_was_lowered(drive: Callable[..., Drive]) -> None:
    one = drive(budget={"num_trials": 2})
    one.ask("a")
    one.ask("b")
    two = drive(budget={"num_trials": 1})
    assert not two.searcher.is_done
    assert [two.ask(x)["target.learning_rate"] for x in "ab"] == [1e-3, 3e-3]


def test_after_max_hours_nothing_new_is_asked(drive: Callable[..., Drive]) -> None:
    one = drive()
    one.ask("left")
    two = drive(budget={"num_trials": 6, "max_hours": 1e-9})
    assert isinstance(two.ask("a"), dict), "what was begun is finished"
    assert two.ask("b") is None
    two.run("a")
    assert two.ask("b") == Searcher.FINISHED
    assert not two.searcher.is_stopped


def hours_ago(one: Drive, number: int, hours: float) -> None:
    """As if the trial had been handed out so long ago."""
    one.searcher._spending._running[number] -= hours * 3600


def test_gpu_hours_count_over_drivers(drive: Callable[..., Drive]) -> None:
    """Of a trial that ended, of one that was left by a driver that was stopped, and of one whose
    driver was killed after its first phase."""
    sections: dict[str, Any] = {
        "space": space(point("fact")),
        "resources": {"gpus_per_worker": 2},
        "budget": {"num_trials": 6, "max_gpu_hours": 20},
    }
    one = drive(**sections)
    one.ask("a")
    hours_ago(one, 0, 1)
    one.run("a")
    one.ask("b")
    hours_ago(one, 1, 2)
    one.stop.set()
    one.searcher.on_trial_complete("b", error=True)
    row = one.log.rows[0]
    assert row.seconds is not None
    assert row.seconds["gpu"] == pytest.approx(7200, abs=5)
    assert one.study.history.gpu_hours == pytest.approx(2, abs=0.01), "of finished trials"

    two = drive(**sections)
    assert two.ask("a") == one.trials[1].params
    hours_ago(two, 1, 1)
    two.run("a")
    assert two.study.history.gpu_hours == pytest.approx(2 + 6, abs=0.01)
    two.ask("b")
    hours_ago(two, 2, 5)
    two.train("b", 0)

    three = drive(**sections)
    assert three.searcher._spending.gpu_hours == pytest.approx(18, abs=0.01)
    assert three.ask("a") == point("fact"), "what was begun is finished"
    hours_ago(three, 2, 1.5)
    assert three.ask("b") is None
    three.run("a")
    assert three.ask("b") == Searcher.FINISHED
    assert three.searcher.ended_by == "max_gpu_hours is reached: trials took 21.00 of 20 GPU-hours"
    assert drive(**sections).searcher.is_done
    for limit, is_done in ((22, True), (30, False)):  # the median trial took six
        budget = {"num_trials": 6, "max_gpu_hours": limit}
        assert drive(**sections | {"budget": budget}).searcher.is_done is is_done


def test_no_trial_is_asked_that_would_end_after_max_hours(drive: Callable[..., Drive]) -> None:
    one = drive(budget={"num_trials": 6, "max_hours": 2})
    one.ask("a")
    hours_ago(one, 0, 3)
    assert isinstance(one.ask("b"), dict), "none is scored yet"
    one.run("a")
    assert one.ask("c") is None
    one.run("b")
    assert isinstance(one.ask("c"), dict), "the median of three hours and none is one and a half"
    assert one.searcher.ended_by is None


def test_a_search_that_used_its_trials_up_was_ended_by_no_limit(
    drive: Callable[..., Drive],
) -> None:
    one = drive(budget={"num_trials": 1, "max_hours": 1e-9})
    assert "max_hours is reached" in (one.searcher.ended_by or "")
    two = drive(budget={"num_trials": 1, "max_hours": 2})
    two.ask("a")
    hours_ago(two, 0, 3)
    two.run("a")
    assert two.ask("b") == Searcher.FINISHED
    assert two.searcher.ended_by is None


def test_a_pickled_searcher_carries_nothing(drive: Callable[..., Drive]) -> None:
    one = drive(tracking={"optuna": "postgresql://me:hunter2@host/db", "mlflow": "http://secret"})
    data = pickle.dumps(one.searcher)
    for word in (b"hunter2", b"secret", b"optuna.db", b"sqlite"):
        assert word not in data
    assert len(data) < 200


def test_the_record_is_written_before_optuna_is_told(drive: Callable[..., Drive]) -> None:
    """A driver that dies in between runs the trial again; the other way round it would be lost."""
    one = drive(space=space(point("none")), budget={"num_trials": 3})
    states = []

    def look(row: TrialRow, **_: Any) -> None:
        states.append((row.number, one.trials[row.number].state))

    one.log.trial_finished = look  # type: ignore[method-assign]
    one.ask_and_run("ab")
    one.ask("c")
    assert states == [(number, OptunaState.RUNNING) for number in (0, 1, 2)]


def test_a_stem_that_was_retried_under_another_key(drive: Callable[..., Drive]) -> None:
    """It diverged at its rate and was trained at half of it: its targets start from that one."""
    one = drive(space=space(point("fact"), point("fact", 3e-3)), budget={"num_trials": 4})
    one.ask_and_run("ab")
    one.ask("c")
    assert one.ask("d") is None
    planned, _, stem = one.key_facts.stages(one.plans["c"])[0]
    halved = replace(stem, learning_rate=stem.learning_rate / 2)
    key = one.key_facts.key(halved, None)
    record = replace(phase_record(key, None, halved), retry_of=planned)
    first = replace(phase_record(planned, None, stem), reason="loss", retried_as=key)
    for made, tensors in ((record, {"encoder": {}, "heads": {}}), (first, {})):
        one.store.commit(made, tensors)
    event = {"event": "phase", "key": planned, "reused": False, "record": record.to_dict()}
    one.send("c", event)
    assert one.ask("d") == point("fact", 3e-3), "what it waited for is there, under another key"
    target = one.key_facts.key(next(t.phase for t in one.plans["d"].targets if t.phase), key)
    assert one.searcher._queue.live["d"].missing == {target}
    assert one.log.phases[-1] == key
