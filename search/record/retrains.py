"""RetrainRecord: writes one retrain of a study to MLflow and registers its model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search.addresses import refusing
from search.record import entries
from search.record.delivery import Delivery
from search.record.reader import WINNER
from search.record.registry import RegisteredModel, Registry, folder_digest
from search.trials.ranking import TrialState
from spaces.phases import TrialPlan
from spaces.refusal import Refusal
from trainables.scoring.scores import Scores


class RetrainRecord:
    """Writes one retrain of a study; its name is unique among the study's retrains.

    `role` is `winner`, `baseline` or `twin`. `lock` is a digest of plans, data, code and versions;
    a later run under the same name with another lock is a different run.
    """

    def __init__(self, delivery: Delivery, name: str) -> None:
        self._delivery = delivery
        self.name = name

    def locked(self, lock: Mapping[str, Any]) -> None:
        """Write the lock of the retrain: the frozen plans, data, code and versions."""
        self._delivery.append(entries.retrain_locked(self.name, lock=lock))

    def started(
        self, *, seed: int, role: str, plan: TrialPlan, phase_keys: Sequence[str], lock: str = ""
    ) -> None:
        """Write the start of a run."""
        self._delivery.append(
            entries.retrain_entry(
                self.name,
                seed=seed,
                role=role,
                plan=plan,
                phase_keys=phase_keys,
                state=TrialState.RUNNING,
                lock=lock,
            )
        )

    def finished(
        self,
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
        """Write the end of a run: it is scored if it has scores, else it failed for `reason`.
        `outcomes` is target -> path of the file with the outcomes of its rows."""
        state = TrialState.FAILED if scores is None else TrialState.SCORED
        self._delivery.append(
            entries.retrain_entry(
                self.name,
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
            labels = entries.retrain_labels(self.name, seed=seed, role=role)
            run_name = entries.retrain_name(self.name, seed=seed, role=role)
            self._delivery.append(entries.outcomes_entry(labels, name=run_name, files=outcomes))

    def closed(self, *, summary: Mapping[str, Any]) -> None:
        """Write the summary of the retrain after all its runs have ended."""
        self._delivery.append(entries.retrain_closed(self.name, summary=summary))

    def register(
        self,
        folder: Path,
        *,
        name: str,
        seed: int,
        role: str = WINNER,
        params: Mapping[str, str],
        tags: Mapping[str, str],
        requirements: Sequence[str],
        outcomes: Path | None = None,
        timeout: float = 60.0,
    ) -> RegisteredModel:
        """Log a folder of model files for a run of the retrain, register it under `name` with these
        tags, and return the version.

        `outcomes` is the file with the outcomes of each test row. It is stored with the version, so
        it stays even if the run is overwritten.

        Raises Refusal if MLflow does not answer, or if the outbox is not sent within `timeout`
        seconds.
        """
        delivery = self._delivery
        if not delivery.outbox.drain(timeout):
            raise Refusal(
                f"the model cannot be registered yet: MLflow does not answer, and "
                f"{delivery.outbox.pending} records wait for it; try again when it answers"
            )
        digest = folder_digest(folder)
        with refusing():
            logged = delivery.open_tracker().models.log(
                delivery.address.study,
                entries.retrain_labels(self.name, seed=seed, role=role),
                folder,
                digest=digest,
                name=name,
                loader_module="search.serving",
                params=params,
                requirements=requirements,
                outcomes=outcomes,
            )
            registry = Registry(delivery.connect(), tracking_uri=delivery.address.tracking_uri)
            return registry.add(name, logged, delivery.address.study, {**tags, "sha256": digest})
