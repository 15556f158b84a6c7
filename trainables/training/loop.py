"""train_phase: the only training loop, for every task kind and for pretraining, intermediate and
target phases."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from transformers import PreTrainedTokenizerFast

from spaces.phases import Phase, Recipe
from spaces.tasks.source import Source
from trainables.encoders.adapters import add_adapters
from trainables.encoders.model import TransferModel, hidden_states
from trainables.encoders.states import frozen_names
from trainables.formats.base import Batch, Features
from trainables.formats.kinds import format_of_kind
from trainables.store.folders import (
    optimizer_tensors,
    read_document,
    read_tensors,
    restore_optimizer,
)
from trainables.training.batches import Step, Steps, select_rows, shard, step_seed
from trainables.training.drain import DrainedError
from trainables.training.workers import Workers

READ_EVERY = 10  # steps between two readings of the loss; each reading waits for the device


class DivergedError(Exception):
    """The loss or a weight is infinite or not a number."""


@dataclass(slots=True, kw_only=True)
class Progress:
    """The progress of a phase; it is saved with every checkpoint.

    `losses` are means over READ_EVERY steps each (the last one over the remaining steps), in order.
    `num_tokens` counts padded positions, `num_useful_tokens` those without padding. `seconds` is
    training time.
    """

    step: int = 0
    losses: list[float] = field(default_factory=list)
    dev_scores: list[tuple[int, float]] = field(default_factory=list)
    num_examples: int = 0
    num_tokens: int = 0
    num_useful_tokens: int = 0
    seconds: float = 0.0

    @property
    def best_step(self) -> int:
        """The step of the first best dev score; the last step without dev scores."""
        best = max(
            self.dev_scores, key=lambda scored: (scored[1], -scored[0]), default=(self.step, 0.0)
        )
        return best[0]

    def is_over(self, recipe: Recipe) -> bool:
        """Whether the phase has done its steps, or has lost its patience."""
        since_best = sum(1 for step, _ in self.dev_scores if step > self.best_step)
        out_of_patience = recipe.patience is not None and since_best >= recipe.patience
        return self.step >= recipe.num_steps or out_of_patience


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """When and how a phase is saved before its end, and the checkpoint folder to resume from.

    `is_stopping` is called every few steps; where it returns true, the phase is saved and ends.
    """

    save: Callable[[int, Mapping[str, Mapping[str, Tensor]], Mapping[str, Mapping[str, Any]]], None]
    every_seconds: float
    resume: Path | None = None
    is_stopping: Callable[[], bool] = lambda: False


def _no_dev_score(model: TransferModel) -> float:
    raise AssertionError("a recipe with evaluate_every needs Callbacks.dev_score")


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """What `train_phase` calls while it trains.

    Attributes:
        dev_score: returns the main score on source-language validation rows, in [0, 1]; called on
            every worker, every `evaluate_every` steps.
        on_step: called after every step with the number of steps done.
        halfway: called on every worker, once, after half of the steps.
    """

    dev_score: Callable[[TransferModel], float] = _no_dev_score
    on_step: Callable[[int], None] = lambda step: None
    halfway: Callable[[TransferModel], None] | None = None


def train_phase(
    model: TransferModel,
    phase: Phase,
    features: Mapping[Source, Features],
    *,
    tokenizer: PreTrainedTokenizerFast,
    workers: Workers,
    max_device_tokens: int,
    saving: Saving,
    callbacks: Callbacks = Callbacks(),
) -> Progress:
    """Train `model` in place, as the phase says. Returns what was done.

    Args:
        features: the encoded training rows of every source of the mixture.
        max_device_tokens: padded tokens of a micro-batch; a step is split into as many as it needs.

    Raises:
        DivergedError: the loss or a weight became infinite or not a number.
        DrainedError: `saving.is_stopping` returned true, and a checkpoint was saved.
    """
    recipe = phase.recipe
    merge = _freeze(model, phase)
    optimizer = build_optimizer(model, recipe)
    progress, best = _restore(model, optimizer, saving.resume)
    steps = Steps(phase, features, tokenizer, start=progress.step)
    encoder = workers.wrap(model.encoder)
    unread: list[Tensor] = []
    before, saved, started = progress.seconds, time.monotonic(), time.monotonic()
    model.train()
    while not progress.is_over(recipe):
        step = steps.read(progress.step)
        torch.manual_seed(step_seed("step", phase.draws, progress.step, workers.rank))
        unread.append(_backward(encoder, model.heads, step, workers, max_device_tokens))
        _update(model, optimizer, phase, progress.step)
        _count_step(progress, step)
        if recipe.evaluate_every and progress.step % recipe.evaluate_every == 0:
            progress.dev_scores.append((progress.step, callbacks.dev_score(model)))
            model.train()
            if progress.best_step == progress.step:
                best = {name: value.clone() for name, value in _trained(model).items()}
        if callbacks.halfway is not None and progress.step == recipe.num_steps // 2:
            callbacks.halfway(model)
            model.train()
        if progress.step % READ_EVERY == 0 or progress.is_over(recipe):
            progress.losses.append(_read_losses(unread, workers, phase, progress.step))
        progress.seconds = before + time.monotonic() - started
        # Only when every loss was read, so that a resumed phase has all of them.
        if progress.step % READ_EVERY == 0:
            saved = _save_if_asked(saving, workers, saved, (model, optimizer, progress, best))
        callbacks.on_step(progress.step)
    _finish(model, best, merge, phase)
    return progress


def build_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """Fused AdamW (eps 1e-8), without weight decay on biases and layer norms.

    The settings are those of Phang et al. 2020 in the authors' public code (jiant, model_setup.py).
    """
    decayed = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    betas = (0.9, recipe.adam_beta2)
    return torch.optim.AdamW(groups, lr=0.0, betas=betas, eps=1e-8, fused=True)


def rate_factor(recipe: Recipe, step: int) -> float:
    """The factor of the learning rate at `step`: linear warmup over `warmup_share` of the steps,
    then linear decay to zero."""
    warmup = max(1, round(recipe.num_steps * recipe.warmup_share))
    if step < warmup:
        return (step + 1) / warmup
    return (recipe.num_steps - step) / max(1, recipe.num_steps - warmup)


def _freeze(model: TransferModel, phase: Phase) -> Callable[[], None]:
    """Freeze what the recipe does not train, and add adapters where it says so. Returns a function
    that merges the trained adapters into the weights."""
    rank = phase.recipe.lora_rank
    merge = add_adapters(model.encoder, rank, seed=phase.draws) if rank else lambda: None
    model.freeze(phase.recipe.num_frozen_layers)
    return merge


def _backward(
    encoder: nn.Module, heads: nn.ModuleDict, step: Step, workers: Workers, max_tokens: int
) -> Tensor:
    """Compute the gradients of the mean loss over the *global* batch. Returns this worker's part of
    the loss.

    The loss is divided by the global number of items. So the number of workers and of micro-batches
    changes only the order of summation.
    """
    task_format, head = format_of_kind(step.source.task.kind), heads[step.source.task.name]
    num_items = max(1, task_format.num_items(step.batch))
    parts = shard(
        step.batch, step.sizes, rank=workers.rank, size=workers.size, max_tokens=max_tokens
    )
    # A worker without rows runs one with weight zero, because the others wait for its gradients.
    weight = 1.0 if parts else 0.0
    parts = parts or [select_rows(step.batch, range(step.sizes[0]))]
    total = torch.zeros((), device=workers.device)
    for i, part in enumerate(parts):
        part = to_device(part, workers.device)
        with workers.unsynced(encoder, unless=i == len(parts) - 1):
            with workers.autocast():
                hidden = hidden_states(encoder, part)[0]
            # Heads are small, but their logits must be exact: bf16 logits above 8 are 1/16 apart.
            loss = task_format.loss(head, hidden.float(), part) * (weight / num_items)
            torch.autograd.backward(loss * workers.size)
        total += loss.detach()
    workers.average_gradients(head.parameters())
    return total


def _update(model: nn.Module, optimizer: torch.optim.Optimizer, phase: Phase, step: int) -> None:
    """Clip the gradients, update the weights at the learning rate of this step, and clear the
    gradients."""
    clip_grad_norm_(model.parameters(), phase.recipe.max_grad_norm)
    for group in optimizer.param_groups:
        group["lr"] = phase.learning_rate * rate_factor(phase.recipe, step)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch on the device, copied asynchronously to a GPU."""
    if device.type == "cpu":
        return batch
    fields = (batch.input_ids, batch.attention_mask, batch.token_type_ids, batch.labels)
    return Batch(*(tensor.pin_memory().to(device, non_blocking=True) for tensor in fields))


def _count_step(progress: Progress, step: Step) -> None:
    progress.step += 1
    progress.num_examples += len(step.sizes)
    progress.num_tokens += step.batch.input_ids.numel()
    progress.num_useful_tokens += int(step.batch.attention_mask.sum())


def _read_losses(unread: list[Tensor], workers: Workers, phase: Phase, step: int) -> float:
    """The mean of the unread losses over all workers. Raises DivergedError where it is not
    finite."""
    loss = float(workers.sum(torch.stack(unread).sum() / len(unread)))
    unread.clear()
    if not math.isfinite(loss):
        raise DivergedError(
            f"loss is {loss} by step {step} of {phase.recipe.num_steps} on {phase.mixture} "
            f"at learning rate {phase.learning_rate:g}"
        )
    return loss


def _save_if_asked(
    saving: Saving,
    workers: Workers,
    saved: float,
    state: tuple[TransferModel, torch.optim.Optimizer, Progress, Mapping[str, Tensor]],
) -> float:
    """Save when it is time to. Raises DrainedError where the driver is stopping. Returns the time
    of the last save (monotonic seconds)."""
    stops = saving.is_stopping()
    due = stops or time.monotonic() - saved > saving.every_seconds
    stops, due = workers.share((stops, due))
    if due and workers.rank == 0:
        saving.save(*_checkpoint(*state))
    if stops:
        raise DrainedError(f"saved at step {state[2].step}")
    return time.monotonic() if due else saved


def _finish(
    model: TransferModel, best: Mapping[str, Tensor], merge: Callable[[], None], phase: Phase
) -> None:
    """Restore the best weights, merge adapters, and check all weights: no loss was computed after
    the last update."""
    if best:
        _load(model, best)
    merge()
    if not all(bool(parameter.isfinite().all()) for parameter in model.parameters()):
        raise DivergedError(
            f"weights are infinite or not a number at the end of {phase.mixture} "
            f"at learning rate {phase.learning_rate:g}"
        )


def _checkpoint(
    model: TransferModel,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    best: Mapping[str, Tensor],
) -> tuple[int, dict[str, Mapping[str, Tensor]], dict[str, Mapping[str, Any]]]:
    tensors: dict[str, Mapping[str, Tensor]] = {
        "model": _trained(model),
        "optimizer": optimizer_tensors(optimizer),
        "best": best,
    }
    return progress.step, tensors, {"progress": asdict(progress)}


def _restore(
    model: TransferModel, optimizer: torch.optim.Optimizer, folder: Path | None
) -> tuple[Progress, dict[str, Tensor]]:
    if folder is None:
        return Progress(), {}
    _load(model, read_tensors(folder, "model"))
    restore_optimizer(optimizer, read_tensors(folder, "optimizer"))
    document = read_document(folder, "progress")
    document["dev_scores"] = [(step, score) for step, score in document["dev_scores"]]
    best = read_tensors(folder, "best")
    return Progress(**document), {name: value.to(model.device) for name, value in best.items()}


def _trained(model: TransferModel) -> dict[str, Tensor]:
    """The model's tensors without those that are frozen: a phase starts with the same ones."""
    frozen = frozen_names(model)
    return {name: value for name, value in model.state_dict().items() if name not in frozen}


def _load(model: TransferModel, tensors: Mapping[str, Tensor]) -> None:
    """Load what `_trained` returned into the model; older checkpoints hold frozen tensors too.
    Raises RuntimeError where a trained tensor is missing or one is unknown."""
    missing = _trained(model).keys() - tensors.keys()
    if missing:
        raise RuntimeError(f"the checkpoint has no {', '.join(sorted(missing))}")
    unexpected = model.load_state_dict(tensors, strict=False).unexpected_keys
    if unexpected:
        raise RuntimeError(f"the checkpoint has unknown tensors: {', '.join(unexpected)}")
