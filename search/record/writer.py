"""Record: what the driver writes to MLflow, through an outbox. Reading is record.py.

MLflow may be away while a study runs: every method of `Record` stores one line and returns, and
one thread brings the lines to MLflow in order. Nothing the search needs is ever read back.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from search.addresses import check_reachable, refusing
from search.home import Home
from search.record import entries
from search.record.entries import Entry
from search.record.mlflow_client import Tracker, connect, delivering
from search.record.outbox import Outbox, Undeliverable
from search.record.registry import RegisteredModel, Registry, folder_digest
from search.trials.ranking import (
    Baselines,
    PhaseRow,
    TrialRow,
    TrialState,
    paired_gain,
    ranked,
    transfer_gain,
)
from spaces.phases import TrialPlan
from spaces.refusal import Refusal
from trainables.scoring.scores import Scores

Connect = Callable[[str], Any]

DRAIN_SECONDS = 60.0
INTERRUPTED_DRAIN_SECONDS = 5.0


class Record:
    """What the driver of a study writes; made by `Record.open`, shared by its threads."""

    def __init__(
        self,
        *,
        tracking_uri: str,
        experiment: str,
        study: str,
        outbox: Path,
        connect: Connect = connect,
    ) -> None:
        self._study = study
        self._connect = partial(connect, tracking_uri)
        self._tracking_uri = tracking_uri
        self._experiment = experiment
        self._tracker: Tracker | None = None
        self.outbox = Outbox(outbox, self._deliver)

    @classmethod
    def open(cls, *, tracking_uri: str, experiment: str, study: str, outbox: Path) -> "Record":
        """Take up the outbox of a study, or begin one, and send what is in it from now on."""
        record = cls(tracking_uri=tracking_uri, experiment=experiment, study=study, outbox=outbox)
        record.outbox.start()
        return record

    def __getstate__(self) -> Any:
        raise TypeError("a Record stays in the driver: it holds the address of MLflow")

    def study_started(
        self,
        *,
        settings: Mapping[str, Any],
        digest: str,
        versions: Mapping[str, str],
        warnings: Sequence[str] = (),
        world: Mapping[str, Any] | None = None,
    ) -> None:
        """Once for each start of the driver; the run is the same each time."""
        self._append(
            entries.study_started(
                self._study,
                settings=settings,
                digest=digest,
                versions=versions,
                warnings=warnings,
                world=world,
            )
        )

    def trial_started(
        self,
        number: int,
        *,
        params: Mapping[str, Any],
        plan: TrialPlan,
        phase_keys: Sequence[str],
    ) -> None:
        row = TrialRow(
            number=number,
            state=TrialState.RUNNING,
            params=params,
            plan=plan,
            phase_keys=tuple(phase_keys),
        )
        self._append(entries.trial_entry(row, baseline=None))

    def phase_finished(self, row: PhaseRow, *, plan_phase: Mapping[str, Any]) -> None:
        """Once for each key; a second time changes nothing."""
        self._append(entries.phase_entry(row, plan_phase=plan_phase))

    def trial_finished(
        self,
        row: TrialRow,
        *,
        baseline: TrialRow | None,
        outcomes: Mapping[str, str] | None = None,
    ) -> None:
        """However it ended. `baseline` is the best one so far, if there is one; `outcomes` are the
        files, by target, that say what each row got."""
        self._append(entries.trial_entry(row, baseline=baseline))
        if outcomes:
            labels, name = (
                entries.trial_labels(row.number),
                entries.trial_name(row.number, row.plan),
            )
            self._append(entries.outcomes_entry(labels, name=name, files=outcomes))

    def study_finished(
        self,
        *,
        rows: Sequence[TrialRow],
        phases: Sequence[PhaseRow],
        summary: Mapping[str, Any],
    ) -> None:
        """Close the study's run, with all that it has; what trials gain and drop is written against
        the baselines that there are now."""
        gains, baselines = {}, Baselines.among(rows)
        for row in rows:
            both = {
                "transfer_gain": transfer_gain(row, baselines.of(row)),
                "paired_gain": paired_gain(row, baselines),
                "largest_drop": row.largest_drop,
            }
            gains[row.number] = {name: gain for name, gain in both.items() if gain is not None}
        best = next(iter(ranked(rows)), None)
        tags = {row.number: entries.feasible_tag(row) for row in rows}
        self._append(
            entries.gains_entry(
                {k: v for k, v in gains.items() if v}, {k: v for k, v in tags.items() if v}
            )
        )
        self._append(
            entries.study_finished(
                self._study, rows=rows, phases=phases, summary=summary, best=best
            )
        )

    def study_described(self, *, note: str, figures: Mapping[str, str]) -> None:
        """What the study's run shows of itself: Markdown, and SVG by name."""
        self._append(entries.study_described(self._study, note=note, figures=figures))

    def log_models(
        self, rows: Sequence[TrialRow], locations: Mapping[str, Mapping[str, str]]
    ) -> None:
        """The target phases of the best trials as logged models, by reference.

        Args:
            rows: the best trials, as many as are to be kept.
            locations: phase key -> what tells where its files are (`uri`, `sha256`, ...).
        """
        for row in rows:
            for entry in entries.model_entries(row, locations):
                self._append(entry)

    def retrain_locked(self, name: str, *, lock: Mapping[str, Any]) -> None:
        """What the retrain is made of: the frozen plans, data, code and versions."""
        self._append(entries.retrain_locked(name, lock=lock))

    def retrain_started(
        self,
        name: str,
        *,
        seed: int,
        role: str,
        plan: TrialPlan,
        phase_keys: Sequence[str],
        lock: str = "",
    ) -> None:
        """`role` is `winner`, `baseline` or `twin`; `name` tells one retrain of a study from
        another, and `lock` (a digest) one under the same name from a later one that is made of
        something else."""
        self._append(
            entries.retrain_entry(
                name,
                seed=seed,
                role=role,
                plan=plan,
                phase_keys=phase_keys,
                state=TrialState.RUNNING,
                lock=lock,
            )
        )

    def retrain_finished(
        self,
        name: str,
        *,
        seed: int,
        role: str,
        plan: TrialPlan,
        phase_keys: Sequence[str],
        scores: Scores | None,
        validation: Scores | None = None,
        reason: str | None = None,
        outcomes: Mapping[str, str] | None = None,
        lock: str = "",
    ) -> None:
        """With scores it is scored, without it failed for this reason; `outcomes` as of a trial."""
        state = TrialState.FAILED if scores is None else TrialState.SCORED
        self._append(
            entries.retrain_entry(
                name,
                seed=seed,
                role=role,
                plan=plan,
                phase_keys=phase_keys,
                state=state,
                scores=scores,
                validation=validation,
                reason=reason,
                lock=lock,
            )
        )
        if outcomes:
            labels = entries.retrain_labels(name, seed=seed, role=role)
            called = entries.retrain_name(name, seed=seed, role=role)
            self._append(entries.outcomes_entry(labels, name=called, files=outcomes))

    def retrain_closed(self, name: str, *, summary: Mapping[str, Any]) -> None:
        """All runs of the retrain are there."""
        self._append(entries.retrain_closed(name, summary=summary))

    def register_model(
        self,
        folder: Path,
        *,
        name: str,
        retrain: str,
        seed: int,
        role: str = "winner",
        params: Mapping[str, str],
        tags: Mapping[str, str],
        requirements: Sequence[str],
        outcomes: Path | None = None,
        timeout: float = 60.0,
    ) -> RegisteredModel:
        """Log a folder of model files for a run of a retrain, and register it under `name` with
        these tags; waits. `outcomes` is the file that says what each test row got: it stays with
        the version, whatever the run is written over with.

        Raises Refusal where MLflow is away, or what is in the outbox does not arrive in time.
        """
        if not self.drain(timeout):
            raise Refusal(
                f"{self.pending} records wait for MLflow, which does not answer: "
                "the model can be registered when they have arrived"
            )
        digest = folder_digest(folder)
        with refusing():
            logged = self._open_tracker().log_model(
                self._study,
                entries.retrain_labels(retrain, seed=seed, role=role),
                folder,
                digest=digest,
                name=name,
                loader_module="search.serving",
                params=params,
                requirements=requirements,
                outcomes=outcomes,
            )
            registry = Registry(self._connect(), tracking_uri=self._tracking_uri)
            return registry.add(name, logged, self._study, {**tags, "sha256": digest})

    @property
    def pending(self) -> int:
        """How many entries MLflow does not have yet."""
        return self.outbox.pending

    def drain(self, timeout: float) -> bool:
        """Wait until MLflow has everything; False if it has not after `timeout` seconds."""
        return self.outbox.drain(timeout)

    def close(self, timeout: float) -> bool:
        """Drain and stop; what is left is sent by whoever opens the outbox next."""
        return self.outbox.close(timeout)

    def _append(self, entry: Entry) -> None:
        # The time of the event, not of its arrival: durations hold, and sending twice is the same.
        self.outbox.append({**entry, "time": time.time_ns() // 1_000_000})

    def _open_tracker(self) -> Tracker:
        return Tracker(
            self._connect(), tracking_uri=self._tracking_uri, experiment=self._experiment
        )

    def _deliver(self, entry: Mapping[str, Any]) -> None:
        tracker, self._tracker = self._tracker or self._open_tracker(), None
        with delivering():
            match entry["kind"]:
                case "run":
                    tracker.put_run(self._study, dict(entry))
                case "paths":
                    tracker.put_paths(self._study, dict(entry))
                case "gains":
                    tracker.put_gains(self._study, dict(entry))
                case "model":
                    tracker.put_model(self._study, dict(entry))
                case kind:
                    raise Undeliverable(f"unknown kind of entry {kind!r}")
        self._tracker = tracker  # kept only if all went well: ids may be stale after a failure


def drain_left(*, tracking_uri: str, experiment: str, study: str, outbox: Path) -> None:
    """Send what an ended driver could not; nothing to do where it left no outbox.

    Raises Refusal at once where there is something to send and MLflow does not answer.
    """
    if not outbox.exists():
        return
    record = Record(tracking_uri=tracking_uri, experiment=experiment, study=study, outbox=outbox)
    if record.pending:
        check_reachable(tracking_uri)
        record.outbox.start()
        record.close(timeout=30.0)


@contextmanager
def recording(study: str, home: Home, *, tracking_uri: str, experiment: str) -> Iterator[Record]:
    """The study's MLflow record, emptied at the end, in a hurry where it ends by an error."""
    outbox = home.outbox(study)
    record = Record.open(
        tracking_uri=tracking_uri, experiment=experiment, study=study, outbox=outbox
    )
    timeout = INTERRUPTED_DRAIN_SECONDS
    try:
        yield record
        timeout = DRAIN_SECONDS
    finally:
        record.close(timeout)
