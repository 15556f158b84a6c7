"""RetrainRecord: what one retrain of a study writes to MLflow, and the models that it registers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search.addresses import refusing
from search.record import entries
from search.record.delivery import Delivery
from search.record.registry import RegisteredModel, Registry, folder_digest
from search.trials.ranking import TrialState
from spaces.phases import TrialPlan
from spaces.refusal import Refusal
from trainables.scoring.scores import Scores


class RetrainRecord:
    """Of the retrain with this name, which tells one of a study from another. `role` is `winner`,
    `baseline` or `twin`; `lock` (a digest) tells a run from a later one under the same name that is
    made of something else."""

    def __init__(self, delivery: Delivery, name: str) -> None:
        self._delivery = delivery
        self.name = name

    def locked(self, lock: Mapping[str, Any]) -> None:
        """What the retrain is made of: the frozen plans, data, code and versions."""
        self._delivery.append(entries.retrain_locked(self.name, lock=lock))

    def started(
        self, *, seed: int, role: str, plan: TrialPlan, phase_keys: Sequence[str], lock: str = ""
    ) -> None:
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
        """With scores it is scored, without it failed for this reason; `outcomes` are the files,
        by target, that say what each row got."""
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
            called = entries.retrain_name(self.name, seed=seed, role=role)
            self._delivery.append(entries.outcomes_entry(labels, name=called, files=outcomes))

    def closed(self, *, summary: Mapping[str, Any]) -> None:
        """All runs of the retrain are there."""
        self._delivery.append(entries.retrain_closed(self.name, summary=summary))

    def register(
        self,
        folder: Path,
        *,
        name: str,
        seed: int,
        role: str = "winner",
        params: Mapping[str, str],
        tags: Mapping[str, str],
        requirements: Sequence[str],
        outcomes: Path | None = None,
        timeout: float = 60.0,
    ) -> RegisteredModel:
        """Log a folder of model files for a run of the retrain, and register it under `name` with
        these tags; waits. `outcomes` is the file that says what each test row got: it stays with
        the version, whatever the run is written over with.

        Raises Refusal where MLflow is away, or what is in the outbox does not arrive in time.
        """
        delivery = self._delivery
        if not delivery.outbox.drain(timeout):
            raise Refusal(
                f"{delivery.outbox.pending} records wait for MLflow, which does not answer: "
                "the model can be registered when they have arrived"
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
