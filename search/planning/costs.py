"""What a study would cost: forward passes, GPU-hours at a stated throughput, disk. Pure."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from spaces.phases import Phase, TrialPlan
from spaces.study import StudySettings
from spaces.task_catalog import Source, TaskKind, get_task

BYTES = 4  # of a weight: phases are stored in single precision
SEQUENCES_PER_SECOND = 100.0  # in training, on one GPU: an assumption, which the user replaces
PASSES = 3  # a training sequence costs its forward pass and a backward one of twice that


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderShape:
    """An encoder of XLM-R's architecture: what decides its number of weights."""

    vocabulary: int
    positions: int
    hidden_size: int
    num_layers: int
    feed_forward_size: int

    @property
    def num_weights(self) -> int:
        """Embeddings with their layer norm, and per layer four projections, two feed-forward
        matrices, their biases and two layer norms; no pooler."""
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
    """Sequences through the encoder, of all stages and all plans: at most, since phases may stop
    early. `not_counted` are targets whose number of rows is not known beforehand. `disk_bytes` is
    that of the phase store; None where the encoder's size is not known."""

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
    """Of every plan and stage of a grid, with several workers or with one."""
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
        not_counted=tuple(task for task, count in counts.items() if count is None),
        sequences_per_second=sequences_per_second,
        gpu_hours=(trained + (dev + scored) / PASSES) / sequences_per_second / 3600,
        disk_bytes=None if weights is None else weights * BYTES * len(phases),
    )


def num_weights(settings: StudySettings) -> int | None:
    """Of the encoder; None where it can be told only by loading it."""
    name, made = settings.study.encoder, settings.pretraining
    if made is not None:
        return EncoderShape(
            vocabulary=made.max_vocabulary,
            positions=made.recipe.max_length + 2,
            hidden_size=made.hidden_size,
            num_layers=made.num_layers,
            feed_forward_size=made.feed_forward_size,
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
        return None  # no folder, or an encoder of another make: `run` will say what is wrong


def sequences_of(task: str) -> int:
    """Sequences of one example: one a choice, a text and its pivot in retrieval, else one."""
    entry = get_task(task)
    if entry.kind is TaskKind.CHOICE:
        return round(1 / entry.chance)
    return 2 if entry.kind is TaskKind.RETRIEVAL else 1


def _trained(phase: Phase) -> int:
    each = sum(share * sequences_of(source.task) for source, share in phase.mixture.shares)
    return round(phase.recipe.num_steps * phase.recipe.batch_size * each)


def _dev(phase: Phase) -> int:
    recipe = phase.recipe
    if recipe.evaluate_every is None:
        return 0
    rows = sum(recipe.max_dev_rows * sequences_of(s.task) for s in _with_rows(phase))
    return recipe.num_steps // recipe.evaluate_every * rows


def _with_rows(phase: Phase) -> list[Source]:
    return [s for s in phase.mixture.sources if get_task(s.task).kind is not TaskKind.MLM]


def _scored(settings: StudySettings, task: str) -> int | None:
    """Of one target in one trial."""
    entry, limit = get_task(task), settings.evaluation.max_rows
    if entry.num_dev_rows is None and limit is None:
        return None
    total = 0
    for language in settings.languages_of(task):
        is_half = settings.evaluation.halves and entry.is_cut(language, "validation")
        half = 2 if is_half else 1
        rows = [n for n in (entry.num_dev_rows and entry.num_dev_rows // half, limit) if n]
        total += min(rows)
    return total * sequences_of(task)
