"""World: what a phase's result depends on beside the phase itself. It goes into every key."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from spaces.phases import Phase, TrialPlan
from spaces.sections import Precision
from spaces.task_catalog import get_task
from trainables.encoders.model import BaseEncoder, settings_digest
from trainables.features.features import ENCODING_VERSION, splits_read
from trainables.rows.rows import Rows

# Raised by hand when the same phase would give other weights or scores; a golden test fails if it
# was forgotten.
TRAINING_VERSION = 2


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """The encoder's weights, config and tokenizer, where rows come from, and what encoders compute
    in; the rows' digests and the versions are looked up for each phase."""

    weights_digest: str
    tokenizer_digest: str
    rows: Rows = Rows()  # noqa: RUF009, it is frozen
    config_digest: str = ""
    precision: Precision = Precision.FP32

    @classmethod
    def of(
        cls,
        base: BaseEncoder,
        rows: Rows = Rows(),  # noqa: B008
        *,
        precision: Precision,
    ) -> "KeyFacts":
        return cls(
            weights_digest=base.weights_digest,
            tokenizer_digest=base.tokenizer_digest,
            rows=rows,
            config_digest=settings_digest(base.settings),
            precision=precision,
        )

    @property
    def encoder_name(self) -> str:
        """Stands for the encoder as the study starts from it, where a phase would have its key."""
        own = (self.weights_digest, self.config_digest, self.tokenizer_digest, self.precision)
        return f"encoder-{hashlib.sha256(' '.join(own).encode()).hexdigest()[:16]}"

    def facts(self, phase: Phase) -> dict[str, str]:
        """Names and digests for `Phase.key`."""
        facts = {
            "encoder": self.weights_digest,
            "config": self.config_digest,
            "tokenizer": self.tokenizer_digest,
            "precision": self.precision.value,
            "training_version": str(TRAINING_VERSION),
            "encoding_version": str(ENCODING_VERSION),
        }
        for source in phase.mixture.sources:
            task = get_task(source.task)
            facts[f"{task.name}/contract"] = f"{task.kind} {task.metric} {'|'.join(task.labels)}"
            for split in splits_read(source, phase.recipe):
                digest = self.rows.fingerprint(source.task, source.language, split)
                facts[f"{source.task}@{source.language}/{split}"] = digest
        return facts

    def key(self, phase: Phase, parent: str | None) -> str:
        """The content key of a phase that starts from `parent` (None: from the encoder)."""
        return phase.key(self.facts(phase), parent)

    def stages(
        self, plan: TrialPlan, *, trained_as: Callable[[str], str] = lambda key: key
    ) -> list[tuple[str, str | None, Phase]]:
        """(key, parent's key, phase) of every phase of a plan, in the order they are trained.

        `trained_as` tells under which key a stem was really trained: another one than planned
        where it diverged and was retried (`PhaseStore.trained_as`).
        """
        stages: list[tuple[str, str | None, Phase]] = []
        stem = None
        if plan.intermediate is not None:
            planned = self.key(plan.intermediate, None)
            stages.append((planned, None, plan.intermediate))
            stem = trained_as(planned)
        for target in plan.targets:
            if target.phase is not None:
                stages.append((self.key(target.phase, stem), stem, target.phase))
        return stages
