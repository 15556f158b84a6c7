"""Writes the record of a study to MLflow through an outbox; reader.py reads it.

MLflow may be unreachable while a study runs. Therefore every method of `RecordWriter` stores one
line and returns, and one thread sends the lines to MLflow in order. The search never reads them.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from search.addresses import check_reachable
from search.home import Home
from search.mlflow_view.saved import view_entry
from search.mlflow_view.state import TrialsView
from search.outbox.outbox import Outbox
from search.record import entries
from search.record.address import RecordAddress
from search.record.delivery import Connect, Delivery
from search.record.mlflow_client import connect
from search.record.retrains import RetrainRecord
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

DRAIN_SECONDS = 60.0
INTERRUPTED_DRAIN_SECONDS = 5.0


class RecordWriter:
    """Writes the record of a study for its driver; opened by `RecordWriter.open`, shared by its
    threads."""

    def __init__(self, address: RecordAddress, *, outbox: Path, connect: Connect = connect) -> None:
        self._delivery = Delivery(address, outbox=outbox, connect=connect)

    @classmethod
    def open(cls, address: RecordAddress, *, outbox: Path) -> "RecordWriter":
        """Continue the outbox of a study, or begin one, and send its entries from now on."""
        record = cls(address, outbox=outbox)
        record.outbox.start()
        return record

    def __getstate__(self) -> Any:
        raise TypeError("a RecordWriter stays in the driver: it holds the address of MLflow")

    def study_started(
        self,
        *,
        settings: Mapping[str, Any],
        digest: str,
        versions: Mapping[str, str],
        warnings: Sequence[str] = (),
        world: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the start of the study; called at each start of the driver, for the same run."""
        self._delivery.append(
            entries.study_started(
                self._delivery.address.study,
                settings=settings,
                digest=digest,
                versions=versions,
                warnings=warnings,
                world=world,
            )
        )

    def view_saved(self, view: TrialsView) -> None:
        """Save how MLflow's UI shows the study's trials."""
        self._delivery.append(view_entry(view))

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
        self._delivery.append(entries.trial_entry(row, baseline=None))

    def phase_finished(self, row: PhaseRow, *, plan_phase: Mapping[str, Any]) -> None:
        """Write a phase; a second call with the same key changes nothing."""
        self._delivery.append(entries.phase_entry(row, plan_phase=plan_phase))

    def trial_finished(
        self,
        row: TrialRow,
        *,
        baseline: TrialRow | None,
        outcomes: Mapping[str, str] | None = None,
    ) -> None:
        """Write the end of a trial, whatever its state. `baseline` is the best baseline so far;
        `outcomes` is target -> path of the file with the outcomes of its rows."""
        self._delivery.append(entries.trial_entry(row, baseline=baseline))
        if outcomes:
            labels, name = (
                entries.trial_labels(row.number),
                entries.trial_name(row.number, row.plan),
            )
            self._delivery.append(entries.outcomes_entry(labels, name=name, files=outcomes))

    def study_finished(
        self,
        *,
        rows: Sequence[TrialRow],
        phases: Sequence[PhaseRow],
        summary: Mapping[str, Any],
    ) -> None:
        """Close the study's run with all its trials and phases; gains and drops of the trials are
        written again, against the final baselines."""
        gains, baselines = {}, Baselines.among(rows)
        for row in rows:
            measures = {
                "transfer_gain": transfer_gain(row, baselines.of(row)),
                "paired_gain": paired_gain(row, baselines),
                "largest_drop": row.largest_drop,
            }
            gains[row.number] = {name: gain for name, gain in measures.items() if gain is not None}
        best = next(iter(ranked(rows)), None)
        tags = {row.number: entries.feasible_tag(row) for row in rows}
        self._delivery.append(
            entries.gains_entry(
                {k: v for k, v in gains.items() if v}, {k: v for k, v in tags.items() if v}
            )
        )
        self._delivery.append(
            entries.study_finished(
                self._delivery.address.study, rows=rows, phases=phases, summary=summary, best=best
            )
        )

    def study_described(self, *, note: str, figures: Mapping[str, str]) -> None:
        """Write the study's description: a note in Markdown, and figures (name -> SVG)."""
        self._delivery.append(
            entries.study_described(self._delivery.address.study, note=note, figures=figures)
        )

    def log_models(
        self, rows: Sequence[TrialRow], locations: Mapping[str, Mapping[str, str]]
    ) -> None:
        """Log the target phases of the best trials as models, with references to their files.

        Args:
            rows: the best trials, as many as should have models.
            locations: phase key -> where its files are (`uri`, `sha256`, ...).
        """
        for row in rows:
            for entry in entries.model_entries(row, locations):
                self._delivery.append(entry)

    def retrain(self, name: str) -> RetrainRecord:
        """Return the writer of a retrain of the study; it uses the same outbox, in order."""
        return RetrainRecord(self._delivery, name)

    @property
    def outbox(self) -> Outbox:
        """The entries that MLflow does not have yet."""
        return self._delivery.outbox

    @property
    def pending(self) -> int:
        """Number of entries that MLflow does not have yet."""
        return self.outbox.pending

    def drain(self, timeout: float) -> bool:
        """Wait until MLflow has everything; return False if it has not after `timeout` seconds."""
        return self.outbox.drain(timeout)

    def close(self, timeout: float) -> bool:
        """Drain and stop; the next process that opens the outbox sends the remaining entries."""
        return self.outbox.close(timeout)


def drain_left(address: RecordAddress, *, outbox: Path) -> None:
    """Send what an ended driver could not send; do nothing where it left no outbox.

    Raises Refusal at once where there is something to send and MLflow does not answer.
    """
    if not outbox.exists():
        return
    record = RecordWriter(address, outbox=outbox)
    if record.pending:
        check_reachable(address.tracking_uri)
        record.outbox.start()
        record.close(timeout=30.0)


@contextmanager
def recording(address: RecordAddress, home: Home) -> Iterator[RecordWriter]:
    """The writer of a study's record. At the end its outbox is sent to MLflow: for at most
    `DRAIN_SECONDS`, or `INTERRUPTED_DRAIN_SECONDS` where the block ends by an error."""
    record = RecordWriter.open(address, outbox=home.outbox(address.study))
    timeout = INTERRUPTED_DRAIN_SECONDS
    try:
        yield record
        timeout = DRAIN_SECONDS
    finally:
        record.close(timeout)
