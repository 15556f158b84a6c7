"""train_phase: the only training loop, for every task kind and for all three phases."""

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
from spaces.task_catalog import Source, get_task
from trainables.encoders.adapters import add_adapters
from trainables.encoders.model import TransferModel, hidden_states
from trainables.formats.base import Batch, Features
from trainables.formats.kinds import format_of_kind
from trainables.store.folders import (
    optimizer_tensors,
    read_document,
    read_tensors,
    restore_optimizer,
)
from trainables.training.batches import Step, Steps, rows, shard, step_seed
from trainables.training.drain import DrainedError
from trainables.training.workers import Workers

READ_EVERY = 10  # steps between two readings of the loss, each of which waits for the device


class DivergedError(Exception):
    """The loss or a weight is infinite or not a number."""


@dataclass(slots=True, kw_only=True)
class Progress:
    """Where a phase stands and what it has seen; saved with every checkpoint.

    `losses` are means over READ_EVERY steps each (the last over what is left), in their order;
    `num_tokens` counts padded positions, `num_useful_tokens` those that are not padding.
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
        """The step of the first best dev score; the last step without any."""
        best = max(self.dev_scores, key=lambda seen: (seen[1], -seen[0]), default=(self.step, 0.0))
        return best[0]

    def is_over(self, recipe: Recipe) -> bool:
        since_best = sum(1 for step, _ in self.dev_scores if step > self.best_step)
        out_of_patience = recipe.patience is not None and since_best >= recipe.patience
        return self.step >= recipe.num_steps or out_of_patience


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """When and how a phase is saved half-way, and the checkpoint folder to go on from.

    `is_stopping` is asked every few steps: where it is true, the phase is saved and left.
    """

    save: Callable[[int, Mapping[str, Mapping[str, Tensor]], Mapping[str, Mapping[str, Any]]], None]
    every_seconds: float
    resume: Path | None = None
    is_stopping: Callable[[], bool] = lambda: False


def train_phase(
    model: TransferModel,
    phase: Phase,
    features: Mapping[Source, Features],
    *,
    tokenizer: PreTrainedTokenizerFast,
    workers: Workers,
    max_device_tokens: int,
    dev_score: Callable[[TransferModel], float],
    saving: Saving,
    on_step: Callable[[int], None],
    halfway: Callable[[TransferModel], None] | None = None,
) -> Progress:
    """Train `model` in place, by the phase, and tell what happened.

    Args:
        features: the encoded training rows of every source of the mixture.
        max_device_tokens: padded tokens of a micro-batch; a step is split in as many as it takes.
        dev_score: the main score on source-language validation rows; called on every worker.
        on_step: called after every step with the number of steps done.
        halfway: called on every worker, once half of the steps are done.

    Raises:
        DivergedError: the loss became infinite or not a number.
        DrainedError: `saving.is_stopping`, and a checkpoint was saved.
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
        _count(progress, step)
        if recipe.evaluate_every and progress.step % recipe.evaluate_every == 0:
            progress.dev_scores.append((progress.step, dev_score(model)))
            model.train()
            if progress.best_step == progress.step:
                best = {name: value.clone() for name, value in model.state_dict().items()}
        if halfway is not None and progress.step == recipe.num_steps // 2:
            halfway(model)
            model.train()
        if progress.step % READ_EVERY == 0 or progress.is_over(recipe):
            progress.losses.append(_read(unread, workers, phase, progress.step))
        progress.seconds = before + time.monotonic() - started
        # Only where no loss is unread, so that a resumed phase keeps the record of all of them.
        if progress.step % READ_EVERY == 0:
            saved = _save_if_asked(saving, workers, saved, (model, optimizer, progress, best))
        on_step(progress.step)
    _finish(model, best, merge, phase)
    return progress


def build_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """Fused AdamW (eps 1e-8), no decay on biases and layer norms.

    The paper's settings, by the authors' public code (jiant, model_setup.py).
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
    """Linear warmup over `warmup_share` of the steps, then linear decay to zero."""
    warmup = max(1, round(recipe.num_steps * recipe.warmup_share))
    if step < warmup:
        return (step + 1) / warmup
    return (recipe.num_steps - step) / max(1, recipe.num_steps - warmup)


def _freeze(model: TransferModel, phase: Phase) -> Callable[[], None]:
    """Leave out of training what the recipe does not train, with adapters beside it where it says
    so. Returns what merges these into the weights, once they are trained."""
    rank = phase.recipe.lora_rank
    merge = add_adapters(model.encoder, rank, seed=phase.draws) if rank else lambda: None
    model.freeze(phase.recipe.num_frozen_layers)
    return merge


def _backward(
    encoder: nn.Module, heads: nn.ModuleDict, step: Step, workers: Workers, max_tokens: int
) -> Tensor:
    """Gradients of the mean loss over the *global* batch; returns this worker's part of it.

    Dividing by the global number of items makes workers and micro-batches change nothing but
    the order of summation.
    """
    form, head = format_of_kind(get_task(step.source.task).kind), heads[step.source.task]
    num_items = max(1, form.num_items(step.batch))
    parts = shard(
        step.batch, step.sizes, rank=workers.rank, size=workers.size, max_tokens=max_tokens
    )
    # A worker without rows runs one at no weight: the others wait for its gradients.
    weight = 1.0 if parts else 0.0
    parts = parts or [rows(step.batch, range(step.sizes[0]))]
    total = torch.zeros((), device=workers.device)
    for i, part in enumerate(parts):
        part = to_device(part, workers.device)
        with workers.unsynced(encoder, unless=i == len(parts) - 1):
            with workers.autocast():
                hidden = hidden_states(encoder, part)[0]
            # Heads are small, and their logits decide: in bf16, those above 8 are 1/16 apart.
            loss = form.loss(head, hidden.float(), part) * (weight / num_items)
            torch.autograd.backward(loss * workers.size)
        total += loss.detach()
    workers.average_gradients(head.parameters())
    return total


def _update(model: nn.Module, optimizer: torch.optim.Optimizer, phase: Phase, step: int) -> None:
    """Clip the gradients, take a step at the rate of this one, and clear them."""
    clip_grad_norm_(model.parameters(), phase.recipe.max_grad_norm)
    for group in optimizer.param_groups:
        group["lr"] = phase.learning_rate * rate_factor(phase.recipe, step)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def to_device(batch: Batch, device: torch.device) -> Batch:
    if device.type == "cpu":
        return batch
    fields = (batch.input_ids, batch.attention_mask, batch.token_type_ids, batch.labels)
    return Batch(*(tensor.pin_memory().to(device, non_blocking=True) for tensor in fields))


def _count(progress: Progress, step: Step) -> None:
    progress.step += 1
    progress.num_examples += len(step.sizes)
    progress.num_tokens += step.batch.input_ids.numel()
    progress.num_useful_tokens += int(step.batch.attention_mask.sum())


def _read(unread: list[Tensor], workers: Workers, phase: Phase, step: int) -> float:
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
    """Save where it is time to, and leave where the driver is going away. Returns when it was saved
    last (monotonic)."""
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
    """Restore the best weights, and look at them: no loss has seen the last update."""
    if best:
        model.load_state_dict(best)
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
        "model": model.state_dict(),
        "optimizer": optimizer_tensors(optimizer),
        "best": best,
    }
    return progress.step, tensors, {"progress": asdict(progress)}


def _restore(
    model: TransferModel, optimizer: torch.optim.Optimizer, folder: Path | None
) -> tuple[Progress, dict[str, Tensor]]:
    if folder is None:
        return Progress(), {}
    model.load_state_dict(read_tensors(folder, "model"))
    restore_optimizer(optimizer, read_tensors(folder, "optimizer"))
    document = read_document(folder, "progress")
    document["dev_scores"] = [(step, score) for step, score in document["dev_scores"]]
    best = read_tensors(folder, "best")
    return Progress(**document), {name: value.to(model.device) for name, value in best.items()}
