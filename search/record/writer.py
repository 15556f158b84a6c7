"""What the driver writes to MLflow, through an outbox. Reading is reader.py.

MLflow may be away while a study runs: every method of `RecordWriter` stores one line and returns,
and one thread brings the lines to MLflow in order. Nothing the search needs is ever read back.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from search.addresses import check_reachable
from search.home import Home
from search.record import entries
from search.record.address import RecordAddress
from search.record.delivery import Connect, Delivery
from search.record.mlflow_client import connect
from search.record.outbox import Outbox
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
    """What the driver of a study writes; made by `RecordWriter.open`, shared by its threads."""

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
        """Once for each start of the driver; the run is the same each time."""
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
        """Once for each key; a second time changes nothing."""
        self._delivery.append(entries.phase_entry(row, plan_phase=plan_phase))

    def trial_finished(
        self,
        row: TrialRow,
        *,
        baseline: TrialRow | None,
        outcomes: Mapping[str, str] | None = None,
    ) -> None:
        """However it ended. `baseline` is the best one so far, if there is one; `outcomes` are the
        files, by target, that say what each row got."""
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
        """What the study's run shows of itself: Markdown, and SVG by name."""
        self._delivery.append(
            entries.study_described(self._delivery.address.study, note=note, figures=figures)
        )

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
                self._delivery.append(entry)

    def retrain(self, name: str) -> RetrainRecord:
        """What a retrain of the study writes: through the same outbox, in order."""
        return RetrainRecord(self._delivery, name)

    @property
    def outbox(self) -> Outbox:
        """What is on its way."""
        return self._delivery.outbox

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
