"""StudySearcher: the seam between Ray Tune and the study. It hands out plans and hears of them."""

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
from spaces.study import StudySettings
from trainables.on_ray import MAX_FAILURES, unpack
from trainables.scoring.scores import Scores
from trainables.store.phase_store import PhaseRecord, PhaseStore
from trainables.training.key_facts import KeyFacts


class StudyLog(trial_ends.TrialLog, Protocol):
    """The part of the MLflow record that a search writes to."""

    def phase_finished(self, row: PhaseRow, *, plan_phase: Mapping[str, Any]) -> None: ...


class Watch(Protocol):
    """What shows the search while it runs."""

    def resumed(self, num_finished: int) -> None: ...

    def started(self, number: int, plan: TrialPlan) -> None: ...

    def moved(self, number: int, event: Mapping[str, Any]) -> None: ...

    def finished(self, row: TrialRow) -> None: ...


class StudySearcher(Searcher):
    """Starts the plans that may run now, hears of their trials, has what came of them told.

    Tune sees no metric: trials report events, which only this class reads. Polls that find
    nothing to do touch neither database nor store.
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
    ) -> None:
        super().__init__()
        self._study = study
        self._settings = settings
        self._log = log
        self._watch = watch
        self._stop = stop
        self._ends = TrialEnds(study, settings, log)
        self._phases = StoredPhases(key_facts, store)
        scored = [told.number for told in study.history.results.values() if told.values]
        self._spending = Spending(settings, study.history.spent, scored)
        self._queue = PlanQueue(
            study,
            self._phases,
            self._spending,
            num_trials=settings.budget.num_trials,
            max_held=max_concurrent,
            tell_duplicate=self._ends.tell_duplicate,
        )
        watch.resumed(study.history.num_counted)

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune writes its searcher to disk: no URL, no client; recovery is by content

    @property
    def is_stopped(self) -> bool:
        """Whether the search was told to end before its budget was used up."""
        return self._stop.is_set()

    @property
    def is_drained(self) -> bool:
        """Whether no worker is busy any more with what this driver gave it."""
        return not any(live.is_heard for live in self._queue.live.values())

    @property
    def is_done(self) -> bool:
        """Whether there is nothing to run, not even what an earlier driver left."""
        return self._queue.is_empty

    @property
    def ended_by(self) -> str | None:
        """The limit that ended the search before all its trials were asked for, in a sentence."""
        return None if self._queue.is_used_up else self._spending.limit

    def suggest(self, trial_id: str) -> Any:
        """Params; None (ask again later) or FINISHED."""
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
        """Tune's stop condition, asked of every result: does the pruner end the trial here?"""
        live, event = self._queue.live.get(trial_id), unpack(result)
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
        live = self._queue.live.pop(trial_id, None)
        self._queue.changed()
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
        row = self._ends.tell(live, took)
        self._watch.finished(row)

    def _put_back(self, live: TrialInFlight) -> None:
        """A trial whose worker broke, to be started again. Tune's own way of doing so gives a trial
        up whose worker died while it was still another trial's."""
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
        self._log.phase_finished(phase_row(record), plan_phase=record.phase)

    def _note(self, asked: AskedTrial) -> None:
        """What a running trial took until now, should this driver be killed. A database that does
        not answer ends nothing here: the next note has all of it."""
        with suppress(Refusal):
            self._study.note_spending(asked, self._spending.took(asked.number))
