"""Estimates what a study costs: sequences, GPU-hours at a stated throughput, disk. Pure."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from spaces.phases import Phase, TrialPlan
from spaces.study_file.study import StudySettings
from spaces.tasks.source import Source
from spaces.tasks.task import Task, TaskKind

BYTES = 4  # bytes per weight: phases are stored in single precision
SEQUENCES_PER_SECOND = 100.0  # in training, on one GPU; an assumption that the user can replace
PASSES = 3  # a training sequence costs a forward pass, and a backward pass that costs two


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderShape:
    """The sizes that determine the number of weights of an encoder of XLM-R's architecture."""

    vocabulary: int
    positions: int
    hidden_size: int
    num_layers: int
    feed_forward_size: int

    @property
    def num_weights(self) -> int:
        """Number of weights: the embeddings with their layer norm, and per layer four projections,
        two feed-forward matrices, their biases and two layer norms; no pooler."""
        width, inner = self.hidden_size, self.feed_forward_size
        embeddings = (self.vocabulary + self.positions + 1 + 2) * width
        layer = 4 * width * (width + 1) + 2 * width * inner + inner + width + 4 * width
        return embeddings + self.num_layers * layer


KNOWN = {
    "FacebookAI/xlm-roberta-base": EncoderShape(
        vocabulary=250_002, positions=514, hidden_size=768, num_layers=12, feed_forward_size=3072
    ),
    "FacebookAI/xlm-roberta-large": EncoderShape(
        vocabulary=250_002, positions=514, hidden_size=1024, num_layers=24, feed_forward_size=4096
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The cost of all stages and plans of a study. It is an upper limit, since phases may stop
    early.

    Attributes:
        trained_sequences: sequences trained on.
        dev_sequences: sequences scored during training.
        scored_sequences: sequences of the targets' validation rows, over all plans.
        not_counted: targets whose number of rows is not known beforehand.
        sequences_per_second: assumed throughput of training on one GPU.
        gpu_hours: hours on one GPU at that throughput.
        disk_bytes: size of the phase store; None if the size of the encoder is unknown.
    """

    trained_sequences: int
    dev_sequences: int
    scored_sequences: int
    not_counted: tuple[str, ...]
    sequences_per_second: float
    gpu_hours: float
    disk_bytes: int | None


def cost_of(
    settings: StudySettings,
    plans: Iterable[TrialPlan],
    stages: Iterable[Phase],
    *,
    sequences_per_second: float = SEQUENCES_PER_SECOND,
) -> Cost:
    """Return the cost of these plans and stages; it does not depend on the number of workers."""
    phases = list(stages)
    trained = sum(_trained(phase) for phase in phases)
    dev = sum(_dev(phase) for phase in phases)
    tasks = [target.task for plan in plans for target in plan.targets]
    counts = {task: _scored(settings, task) for task in dict.fromkeys(tasks)}
    scored = sum(counts[task] or 0 for task in tasks)
    weights = num_weights(settings)
    return Cost(
        trained_sequences=trained,
        dev_sequences=dev,
        scored_sequences=scored,
        not_counted=tuple(task.name for task, count in counts.items() if count is None),
        sequences_per_second=sequences_per_second,
        gpu_hours=(trained + (dev + scored) / PASSES) / sequences_per_second / 3600,
        disk_bytes=None if weights is None else weights * BYTES * len(phases),
    )


def num_weights(settings: StudySettings) -> int | None:
    """Return the encoder's number of weights; None if only loading the encoder could tell."""
    name, pretraining = settings.study.encoder, settings.pretraining
    if pretraining is not None:
        return EncoderShape(
            vocabulary=pretraining.max_vocabulary,
            positions=pretraining.recipe.max_length + 2,
            hidden_size=pretraining.hidden_size,
            num_layers=pretraining.num_layers,
            feed_forward_size=pretraining.feed_forward_size,
        ).num_weights
    if name in KNOWN:
        return KNOWN[name].num_weights
    try:
        config = json.loads((Path(name) / "config.json").read_text(encoding="utf-8"))
        return EncoderShape(
            vocabulary=config["vocab_size"],
            positions=config["max_position_embeddings"],
            hidden_size=config["hidden_size"],
            num_layers=config["num_hidden_layers"],
            feed_forward_size=config["intermediate_size"],
        ).num_weights
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not a folder, or another architecture; `run` reports what is wrong


def sequences_of(task: Task) -> int:
    """Return the number of sequences of one example: one per choice; two in retrieval (a text and
    its pivot); else one."""
    if task.kind is TaskKind.CHOICE:
        return round(1 / task.chance)
    return 2 if task.kind is TaskKind.RETRIEVAL else 1


def _trained(phase: Phase) -> int:
    per_example = sum(share * sequences_of(source.task) for source, share in phase.mixture.shares)
    return round(phase.recipe.num_steps * phase.recipe.batch_size * per_example)


def _dev(phase: Phase) -> int:
    recipe = phase.recipe
    if recipe.evaluate_every is None:
        return 0
    rows = sum(recipe.max_dev_rows * sequences_of(s.task) for s in _with_rows(phase))
    return recipe.num_steps // recipe.evaluate_every * rows


def _with_rows(phase: Phase) -> list[Source]:
    return [s for s in phase.mixture.sources if s.task.kind is not TaskKind.MLM]


def _scored(settings: StudySettings, task: Task) -> int | None:
    """Return the sequences that scoring a target takes in one trial; None if not known."""
    limit = settings.evaluation.max_rows
    if task.num_dev_rows is None and limit is None:
        return None
    total = 0
    for language in settings.languages_of(task):
        is_half = settings.evaluation.halves and task.is_cut(language, "validation")
        half = 2 if is_half else 1
        rows = [n for n in (task.num_dev_rows and task.num_dev_rows // half, limit) if n]
        total += min(rows)
    return total * sequences_of(task)
