"""KeyFacts: what the result of a phase depends on besides the phase itself. It is part of every
key."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from spaces.phases import Phase, Pooling, TrialPlan
from spaces.study_file.sections import Precision
from spaces.tasks.task import AnswerRules, Task
from trainables.encoders.model import BaseEncoder, settings_digest
from trainables.features.features import ENCODING_VERSION, splits_read
from trainables.rows.rows import Rows

# Raise it when the same phase would give other weights or scores; a golden test fails without it.
TRAINING_VERSION = 2


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """The encoder's weights, config and tokenizer, the source of rows, the precision of encoders,
    and what heads on the first token depend on. The digests of the rows and the versions are looked
    up for each phase."""

    weights_digest: str
    tokenizer_digest: str
    rows: Rows = Rows()  # noqa: RUF009, it is frozen
    config_digest: str = ""
    precision: Precision = Precision.FP32
    head_digest: str = ""

    @classmethod
    def of(
        cls,
        base: BaseEncoder,
        rows: Rows = Rows(),  # noqa: B008
        *,
        precision: Precision,
    ) -> "KeyFacts":
        """The facts for phases on this encoder, with these rows, in this precision."""
        return cls(
            weights_digest=base.weights_digest,
            tokenizer_digest=base.tokenizer_digest,
            rows=rows,
            config_digest=settings_digest(base.settings),
            precision=precision,
            head_digest=base.head_digest,
        )

    @property
    def encoder_name(self) -> str:
        """The name of the study's untrained encoder, in places where a phase has its key."""
        digests = (self.weights_digest, self.config_digest, self.tokenizer_digest, self.precision)
        return f"encoder-{hashlib.sha256(' '.join(digests).encode()).hexdigest()[:16]}"

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
        if phase.recipe.pooling is Pooling.FIRST:
            facts["head"] = self.head_digest
        for source in phase.mixture.sources:
            task = source.task
            facts[f"{task.name}/contract"] = _contract(task)
            for split in splits_read(source, phase.recipe):
                digest = self.rows.fingerprint(task, source.language, split)
                facts[f"{source.full_name}/{split}"] = digest
        return facts

    def key(self, phase: Phase, parent: str | None) -> str:
        """The content key of a phase that starts from `parent` (None: from the encoder)."""
        return phase.key(self.facts(phase), parent)

    def stages(
        self, plan: TrialPlan, *, trained_as: Callable[[str], str] = lambda key: key
    ) -> list[tuple[str, str | None, Phase]]:
        """(key, parent's key, phase) of every phase of a plan, in training order.

        `trained_as` gives the key under which an intermediate phase was trained. It differs from
        the planned key where training diverged and was retried (`PhaseStore.trained_as`).
        """
        stages: list[tuple[str, str | None, Phase]] = []
        intermediate_key = None
        if plan.intermediate is not None:
            planned = self.key(plan.intermediate, None)
            stages.append((planned, None, plan.intermediate))
            intermediate_key = trained_as(planned)
        for target in plan.targets:
            if target.phase is not None:
                stages.append(
                    (self.key(target.phase, intermediate_key), intermediate_key, target.phase)
                )
        return stages


def _contract(task: Task) -> str:
    """What the training depends on of a task besides its rows. The language of its draws and the
    rules of its answers are named where they differ from those of the shipped tasks, whose keys are
    older."""
    contract = f"{task.kind} {task.metric} {'|'.join(task.labels)}"
    if task.source_language != "en":
        contract += f" from {task.source_language}"
    if task.answer_rules is not AnswerRules.SQUAD_V1 and not task.reader:
        contract += f" by {task.answer_rules}"
    return contract
