"""StudySearcher: connects Ray Tune with the study. It starts plans and receives their events."""

import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

from ray.tune.search import Searcher

from search.driver import trial_ends
from search.driver.plan_queue import PlanQueue, StoredPhases
from search.driver.trial_ends import TrialEnds
from search.driver.trial_in_flight import TrialInFlight
from search.driver.trial_rows import objective_of, phase_row
from search.sampling.study import AskedTrial, OptunaStudy
from search.trials.ranking import PhaseRow, TrialRow, TrialState
from search.trials.spending import Spending
from spaces.phases import TrialPlan
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings
from trainables.full_disk import is_disk_full
from trainables.on_ray import MAX_FAILURES, unpack
from trainables.scoring.scores import Scores
from trainables.store.phase_store import PhaseRecord, PhaseStore
from trainables.training.key_facts import KeyFacts


class StudyLog(trial_ends.TrialLog, Protocol):
    """The part of the MLflow record that a search writes to."""

    def phase_finished(self, row: PhaseRow, *, plan_phase: Mapping[str, Any]) -> None: ...


class Watch(Protocol):
    """The interface of what shows a search while it runs."""

    def resumed(self, num_finished: int) -> None: ...

    def started(self, number: int, plan: TrialPlan) -> None: ...

    def moved(self, number: int, event: Mapping[str, Any]) -> None: ...

    def finished(self, row: TrialRow) -> None: ...


class StudySearcher(Searcher):
    """Starts the plans that may run now, reads the events of their trials, and reports the results.

    `is_local` says that all workers write to the disk of this machine.

    Tune sees no metric: trials report events, which only this class reads. A call that finds
    nothing to do reads neither the database nor the store.
    """

    def __init__(
        self,
        study: OptunaStudy,
        settings: StudySettings,
        *,
        key_facts: KeyFacts,
        store: PhaseStore,
        log: StudyLog,
        watch: Watch,
        stop: threading.Event,
        max_concurrent: int,
        is_local: bool = False,
    ) -> None:
        super().__init__()
        self._is_local = is_local
        self._study = study
        self._settings = settings
        self._log = log
        self._watch = watch
        self._stop = stop
        self._ends = TrialEnds(study, settings, log)
        self._phases = StoredPhases(key_facts, store)
        scored = [result.number for result in study.history.results.values() if result.values]
        self._spending = Spending(settings, study.history.spent, scored)
        self._queue = PlanQueue(
            study,
            self._phases,
            self._spending,
            num_trials=settings.budget.num_trials,
            max_held=max_concurrent,
            tell_duplicate=self._ends.tell_duplicate,
        )
        self.disk_full: str | None = None  # why a worker could not write, if it could not
        watch.resumed(study.history.num_counted)

    def __getstate__(self) -> dict[str, Any]:
        # Tune writes its searcher to disk. A URL or client must not get there, and recovery does
        # not need the searcher: it reads the database.
        return {}

    @property
    def is_stopped(self) -> bool:
        """Whether the search was asked to stop before its budget was used up."""
        return self._stop.is_set()

    @property
    def is_drained(self) -> bool:
        """Whether no worker runs a trial of this driver any more."""
        return not any(live.is_heard for live in self._queue.live.values())

    @property
    def is_done(self) -> bool:
        """Whether there is nothing to run, including trials that an earlier driver left."""
        return self._queue.is_empty

    @property
    def ended_by(self) -> str | None:
        """A sentence on the limit that ended the search before all trials were asked for; else
        None."""
        return None if self._queue.is_used_up else self._spending.limit

    def suggest(self, trial_id: str) -> Any:
        """Return the params of the next trial, None (Tune asks again later) or FINISHED."""
        if self.is_stopped:
            return Searcher.FINISHED
        if self._queue.again:
            return self._start_again(trial_id, self._queue.again.pop(0))
        asked = self._queue.next()
        if asked is None:
            return None if self._queue.live else Searcher.FINISHED
        missing = self._phases.missing(asked.plan)
        keys = self._phases.keys(asked.plan)
        self._queue.live[trial_id] = TrialInFlight(asked, missing, len(set(keys)) - len(missing))
        self._spending.begin(asked.number)
        self._log.trial_started(asked.number, params=asked.params, plan=asked.plan, phase_keys=keys)
        self._watch.started(asked.number, asked.plan)
        return dict(asked.params)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Read an event of a trial."""
        live, event = self._queue.live.get(trial_id), unpack(result)
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
        """Return whether the pruner ends the trial at this result; Tune asks this for every one."""
        live, event = self._queue.live.get(trial_id), unpack(result)
        if live is None or event is None or event["event"] != "rung":
            return False
        value = objective_of(Scores.from_dict(event["probe"]), self._settings)
        if value is None:  # not an objective target, or none of its languages may select
            return False
        live.scores, live.probed = Scores.from_dict(event["scores"]), value
        live.pruned = self._study.prunes(live.asked, rung=event["rung"], value=value)
        return live.pruned

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Report the result of an ended trial, or put the trial back if its worker failed."""
        live = self._queue.live.pop(trial_id, None)
        self._queue.changed()
        if live is None:
            return
        if self.is_stopped:  # the trial stays RUNNING in the database; the next driver resumes it
            self._note(live.asked)
            return
        may_try = live.num_broken < MAX_FAILURES
        if error and not live.is_over and is_disk_full(live.error):
            may_try = may_try and not self._is_local  # another machine may have room
            if not may_try:  # every other trial would fail too
                self.disk_full = live.reason
                self._stop.set()
                self._note(live.asked)
                return
        if error and not live.is_over and may_try:
            self._put_back(live)
            return
        is_scored = live.end is not None and live.end["state"] == TrialState.SCORED
        spent = self._spending.end(live.asked.number, is_scored=is_scored)
        row = self._ends.tell(live, spent)
        self._watch.finished(row)

    def _put_back(self, live: TrialInFlight) -> None:
        """Queue a trial whose worker failed, to be started again.

        Tune's own restart is not used: it gives up a trial if the worker died while it still ran
        another trial.
        """
        self._spending.end(live.asked.number, is_scored=False)
        self._note(live.asked)
        live.broke()
        self._queue.again.append(live)
        self._watch.moved(live.asked.number, {"event": "again", "reason": live.reason})

    def _start_again(self, trial_id: str, live: TrialInFlight) -> dict[str, Any]:
        self._queue.live[trial_id] = live
        self._spending.begin(live.asked.number)
        return dict(live.asked.params)

    def _phase_done(self, live: TrialInFlight, event: Mapping[str, Any]) -> None:
        record = PhaseRecord.from_dict(event["record"])
        self._phases.add(event["key"], record.key)
        live.missing.discard(event["key"])
        live.phase_keys.append(record.key)
        live.costs[record.key] = record.seconds
        self._queue.changed()
        self._note(live.asked)
        self._log.phase_finished(
            phase_row(record, self._settings.catalogue), plan_phase=record.phase
        )

    def _note(self, asked: AskedTrial) -> None:
        """Store the time that a running trial used until now, in case this driver is killed.

        An error of the database is ignored, because the next note contains all of the time.
        """
        with suppress(Refusal):
            self._study.note_spending(asked, self._spending.took(asked.number))
