"""StudySearcher: the seam between Ray Tune and the study. It hands out plans and hears of them."""

import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

from ray.tune.search import Searcher

from search.driver.trial_in_flight import Live
from search.driver.trial_rows import objective_of, phase_row, row_of, told_values
from search.sampling.study import Asked, OptunaStudy
from search.trials.feasibility import Measure, constraints, judged, measure_of
from search.trials.ranking import Baselines, PhaseRow, TrialRow, TrialState
from search.trials.spending import Spending
from spaces.phases import TrialPlan
from spaces.refusal import Refusal
from spaces.study import StudySettings
from trainables.on_ray import MAX_FAILURES, unpack
from trainables.scoring.scores import Scores
from trainables.store.phase_store import PhaseRecord, PhaseStore
from trainables.training.world import World


class Log(Protocol):
    """The part of the MLflow record that a search writes to."""

    def trial_started(
        self, number: int, *, params: Mapping[str, Any], plan: TrialPlan, phase_keys: list[str]
    ) -> None: ...

    def phase_finished(self, row: PhaseRow, *, plan_phase: Mapping[str, Any]) -> None: ...

    def trial_finished(
        self,
        row: TrialRow,
        *,
        baseline: TrialRow | None,
        outcomes: Mapping[str, str] | None = None,
    ) -> None: ...


class Watch(Protocol):
    """What shows the search while it runs."""

    def resumed(self, num_finished: int) -> None: ...

    def started(self, number: int, plan: TrialPlan) -> None: ...

    def moved(self, number: int, event: Mapping[str, Any]) -> None: ...

    def finished(self, row: TrialRow) -> None: ...


class StudySearcher(Searcher):
    """Asks Optuna, holds back plans whose phases are being trained, tells what came of them.

    Tune sees no metric: trials report events, which only this class reads. Polls that find
    nothing to do touch neither database nor store.
    """

    def __init__(
        self,
        study: OptunaStudy,
        settings: StudySettings,
        *,
        world: World,
        store: PhaseStore,
        log: Log,
        watch: Watch,
        stop: threading.Event,
        max_concurrent: int,
    ) -> None:
        super().__init__()
        self._study = study
        self._settings = settings
        self._world = world
        self._store = store
        self._log = log
        self._watch = watch
        self._max_concurrent = max_concurrent
        self._left = study.running()
        watch.resumed(study.num_counted)
        self._live: dict[str, Live] = {}
        self._again: list[Live] = []  # their workers broke
        self._held: list[Asked] = []
        self._done: set[str] = set()
        self._changed = False
        scored = [told.number for told in study.told.values() if told.values]
        self._spending = Spending(settings, study.took, scored)
        self._stop = stop
        self.rows: list[TrialRow] = []
        self._baselines = Baselines.among(())

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune writes its searcher to disk: no URL, no client; recovery is by content

    @property
    def is_stopped(self) -> bool:
        """Whether the search was told to end before its budget was used up."""
        return self._stop.is_set()

    @property
    def is_drained(self) -> bool:
        """Whether no worker is busy any more with what this driver gave it."""
        return not any(live.is_heard for live in self._live.values())

    @property
    def is_done(self) -> bool:
        """Whether there is nothing to run, not even what an earlier driver left."""
        return not self._left and not self._again and not self._may_ask()

    @property
    def ended_by(self) -> str | None:
        """The limit that ended the search before all its trials were asked for, in a sentence."""
        return None if self._is_used_up else self._spending.limit

    def suggest(self, trial_id: str) -> Any:
        """Params; None (ask again later) or FINISHED."""
        if self.is_stopped:
            return Searcher.FINISHED
        if self._again:
            return self._start_again(trial_id, self._again.pop(0))
        asked = self._released() or self._next()
        if asked is None:
            return None if self._live else Searcher.FINISHED
        missing = self._missing(asked)
        keys = self._keys(asked)
        self._live[trial_id] = Live(asked, missing, len(set(keys)) - len(missing))
        self._spending.begin(asked.number)
        self._log.trial_started(asked.number, params=asked.params, plan=asked.plan, phase_keys=keys)
        self._watch.started(asked.number, asked.plan)
        return dict(asked.params)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        live, event = self._live.get(trial_id), unpack(result)
        if live is None or event is None:
            return
        live.is_heard = True
        if event["event"] == "start":
            live.seconds["startup"] = event["seconds"]
        elif event["event"] == "trained":
            live.seconds["training"] += event["seconds"]
        elif event["event"] == "phase":
            self._phase_done(live, event)
        elif event["event"] == "error":
            live.error = event["reason"]
        elif event["event"] == "end":
            live.end = event
            live.seconds["evaluation"] = event["seconds"]["evaluation"]
        self._watch.moved(live.asked.number, event)

    def should_prune(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Tune's stop condition, asked of every result: does the pruner end the trial here?"""
        live, event = self._live.get(trial_id), unpack(result)
        if live is None or event is None or event["event"] != "rung":
            return False
        value = objective_of(Scores.from_dict(event["probe"]), self._settings)
        if value is None:  # the target is not one that counts, or has no language that may select
            return False
        live.scores, live.probed = Scores.from_dict(event["scores"]), value
        live.pruned = self._study.prunes(live.asked, rung=event["rung"], value=value)
        return live.pruned

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        live = self._live.pop(trial_id, None)
        self._changed = True
        if live is None:
            return
        if self.is_stopped:  # still RUNNING in the database: the next driver takes it up
            self._note(live.asked)
            return
        if error and not live.is_over and live.num_broken < MAX_FAILURES:
            self._put_back(live)
            return
        is_scored = live.end is not None and live.end["state"] == TrialState.SCORED
        took = self._spending.end(live.asked.number, is_scored=is_scored)
        row, measure = self._judged(row_of(live, took, self._settings))
        self.rows.append(row)
        if row.plan.is_baseline:
            self._baselines = Baselines.among(self.rows)
        self._study.note(live.asked, took)
        # The record first: a driver that dies in between runs the trial again and finds all of it.
        outcomes = live.end.get("outcomes") if live.end else None
        self._log.trial_finished(row, baseline=self._baselines.of(row), outcomes=outcomes)
        values = told_values(row, self._settings)
        if row.state is TrialState.SCORED and values:
            allowed = constraints(row, self._settings.evaluation)
            self._study.tell_scored(live.asked, *values, constraints=allowed, measure=measure)
        elif row.state is TrialState.PRUNED:
            self._study.tell_pruned(live.asked)
        else:
            self._study.tell_failed(live.asked, row.reason or "", is_broken=live.end is None)
        self._watch.finished(row)

    def _put_back(self, live: Live) -> None:
        """A trial whose worker broke, to be started again. Tune's own way of doing so gives a trial
        up whose worker died while it was still another trial's."""
        self._spending.end(live.asked.number, is_scored=False)
        self._note(live.asked)
        live.broke()
        self._again.append(live)
        self._watch.moved(live.asked.number, {"event": "again", "reason": live.reason})

    def _start_again(self, trial_id: str, live: Live) -> dict[str, Any]:
        self._live[trial_id] = live
        self._spending.begin(live.asked.number)
        return dict(live.asked.params)

    def _next(self) -> Asked | None:
        """The next plan that can run now; plans that have to wait are held on the way."""
        while self._left or self._may_ask():
            asked = self._left.pop(0) if self._left else self._study.ask()
            if asked is None:
                return None
            if self._tell_duplicate(asked):
                continue
            if not self._waits(asked):
                return asked
            self._held.append(asked)
        return None

    def _may_ask(self) -> bool:
        return (
            not self._is_used_up
            and len(self._held) < self._max_concurrent
            and self._spending.limit is None
        )

    @property
    def _is_used_up(self) -> bool:
        """Whether all trials are asked for, or there is nothing new to ask for."""
        taken = self._study.num_counted + sum(map(len, (self._live, self._again, self._held)))
        return taken >= self._settings.budget.num_trials or self._study.is_used_up

    def _released(self) -> Asked | None:
        """The first held plan that need not wait any more; any one if nothing is in flight."""
        if not self._changed and self._live:
            return None
        self._changed = False
        for asked in list(self._held):
            if self._live and self._waits(asked):
                continue
            self._held.remove(asked)
            if not self._tell_duplicate(asked):
                self._changed = True  # others may be free too
                return asked
        return None

    def _waits(self, asked: Asked) -> bool:
        """Whether a trial in flight trains a phase that this plan needs, or is this very plan."""
        begun = [*self._live.values(), *self._again]
        training = {key for live in begun for key in live.missing}
        equal = any(live.asked.plan == asked.plan for live in begun)
        return equal or bool(training & self._missing(asked))

    def _missing(self, asked: Asked) -> set[str]:
        """Keys of the plan's phases that are not in the store; asked of the store once a key."""
        keys = set(self._keys(asked))
        self._done |= {key for key in keys - self._done if self._store.resolve(key) is not None}
        return keys - self._done

    def _keys(self, asked: Asked) -> list[str]:
        stages = self._world.stages(asked.plan, trained_as=self._store.trained_as)
        return [key for key, _, _ in stages]

    def _tell_duplicate(self, asked: Asked) -> bool:
        told = self._study.told.get(asked.plan)
        if told is None:
            return False
        names = [name.value for name in self._settings.evaluation.objectives]
        row = TrialRow(
            number=asked.number,
            state=TrialState.DUPLICATE,
            params=asked.params,
            plan=asked.plan,
            phase_keys=(),
            objective=told.values[0] if told.values and not names else None,
            values=dict(zip(names, told.values, strict=False)),
            duplicate_of=told.number,
        )
        self._log.trial_started(asked.number, params=asked.params, plan=asked.plan, phase_keys=[])
        self._log.trial_finished(row, baseline=self._baselines.of(row))
        self._study.tell_duplicate(asked, told)
        return True

    def _phase_done(self, live: Live, event: Mapping[str, Any]) -> None:
        record = PhaseRecord.from_dict(event["record"])
        self._done |= {event["key"], record.key}
        live.missing.discard(event["key"])
        live.phase_keys.append(record.key)
        live.costs[record.key] = record.seconds
        self._changed = True
        self._note(live.asked)
        self._log.phase_finished(phase_row(record), plan_phase=record.phase)

    def _note(self, asked: Asked) -> None:
        """What a running trial took until now, should this driver be killed. A database that does
        not answer ends nothing here: the next note has all of it."""
        with suppress(Refusal):
            self._study.note(asked, self._spending.took(asked.number))

    def _judged(self, row: TrialRow) -> tuple[TrialRow, Measure | None]:
        """With what it drops against the baselines so far, itself among them; as one of these."""
        evaluation = self._settings.evaluation
        own = measure_of(row, evaluation) if evaluation.max_drop is not None else None
        return judged(row, [*self._study.measures, *([own] if own else [])], evaluation), own
