"""XLM-R Large's shape on one GPU: tokens a second, useful-token MFU, memory; beside the Trainer.

    python -m benchmarks.gpu [--tiny] [--write]

Random weights, drawn rows as long as NLI's are: nothing is read, nothing is fetched. Needs torch
and transformers (and accelerate, for the Trainer: without it that side is left out, and said so);
no Ray. About three minutes on a recent GPU. `--tiny` tries the same code with a small shape, on the
CPU too; its numbers say nothing.

MFU counts useful tokens alone: 6 FLOPs a weight of the layers and token, and attention's own
12 x layers x width x length, over the bf16 peak that a matrix product of 8192 reaches here.
"""

import argparse
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models
from transformers import DataCollatorWithPadding, PreTrainedTokenizerFast, XLMRobertaModel

from benchmarks.measuring import RESULTS, Line, in_turns, options, publish, seconds_of
from benchmarks.small_model import (
    MAX_LENGTH,
    NO_SAVING,
    ForTrainer,
    QuietTrainer,
    Shape,
    config_of,
    phase_arguments,
    rows_of,
)
from spaces.mixture import Mixture
from spaces.phases import Phase, Recipe
from spaces.task_catalog import Source
from trainables.encoders.model import BaseEncoder
from trainables.formats.base import Features, Ragged
from trainables.pocket.tokenizer import SPECIALS
from trainables.quiet import quiet_libraries
from trainables.training.loop import train_phase
from trainables.training.workers import Workers

TASK = "mnli"
LARGE = Shape(
    vocabulary=250_002, hidden_size=1024, num_layers=24, num_heads=16, feed_forward_size=4096
)
TINY = Shape(vocabulary=500, hidden_size=64, num_layers=2, num_heads=4, feed_forward_size=128)
# Of MNLI's pairs in XLM-R's pieces: a log-normal with median 38 and a tenth above 70.
MEDIAN_LENGTH, LENGTH_SIGMA = 38.0, 0.48
WARMUP_STEPS = 10  # of each side, untimed


@dataclass(frozen=True, slots=True)
class Bench:
    base: BaseEncoder
    features: Features
    phase: Phase
    shape: Shape
    folder: Path

    def ours(self) -> tuple[float, dict[str, float]]:
        """Useful tokens a second, and what else is told of the run."""
        workers = Workers.alone()
        model = self.base.model((TASK,), encoder=None, seed=0).to(workers.device)
        seconds, gib, progress = on_device(
            workers.device,
            lambda: train_phase(
                model,
                self.phase,
                {Source.parse(TASK): self.features},
                tokenizer=self.base.tokenizer,
                workers=workers,
                max_device_tokens=16_384,
                saving=NO_SAVING,
            ),
        )
        useful = progress.num_useful_tokens / progress.num_tokens
        told = {"loss": statistics.fmean(progress.losses), "gib": gib, "useful": useful}
        return progress.num_useful_tokens / seconds, told

    def theirs(self) -> tuple[float, dict[str, float]]:
        """One epoch, as ours: the useful tokens are those of all rows."""
        device = Workers.alone().device
        pad_id = self.base.tokenizer.pad_token_id
        trainer = QuietTrainer(
            model=ForTrainer(self.base.model((TASK,), encoder=None, seed=0), TASK),
            args=phase_arguments(
                self.folder,
                self.phase,
                train_sampling_strategy="group_by_length",
                bf16=device.type == "cuda",
            ),
            train_dataset=rows_of(self.features, is_tagged=False, padded_to=None, pad_id=pad_id),
            data_collator=DataCollatorWithPadding(self.base.tokenizer),
        )
        seconds, gib, done = on_device(device, trainer.train)
        num_tokens = int(self.features.input_ids.lengths.sum())
        return num_tokens / seconds, {"loss": done.training_loss, "gib": gib}


def on_device(device: torch.device, call: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds, the device waited for at both ends; the most GiB of its memory; what it returned."""
    if device.type == "cpu":
        seconds, found = seconds_of(call)
        return seconds, 0.0, found
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    torch.cuda.synchronize()

    def waited() -> Any:
        found = call()
        torch.cuda.synchronize()
        return found

    seconds, found = seconds_of(waited)
    return seconds, torch.cuda.max_memory_allocated() / 2**30, found


def matmul_peak(device: torch.device, size: int) -> float:
    """FLOPs a second of a bf16 matrix product, the best of ten."""
    one = torch.randn(size, size, dtype=torch.bfloat16, device=device)
    best = float("inf")
    for _ in range(10):
        started = time.perf_counter()
        product = one @ one
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
        del product
    return 2 * size**3 / best


def flops_a_token(shape: Shape, length: float) -> float:
    """Forward and backward: the layers' matrices and attention over `length` tokens. Embeddings
    are looked up, not multiplied. Source: PaLM's appendix B (Chowdhery et al. 2022)."""
    width, inner = shape.hidden_size, shape.feed_forward_size
    weights = shape.num_layers * (4 * width * width + 2 * width * inner)
    return 6 * weights + 12 * shape.num_layers * width * length


def drawn_features(num_rows: int, vocabulary: int) -> Features:
    """Rows of random pieces with lengths as MNLI's, at most 128, and labels."""
    rng = np.random.default_rng(0)
    lengths = np.exp(rng.normal(np.log(MEDIAN_LENGTH), LENGTH_SIGMA, num_rows)).astype(int)
    lengths = lengths.clip(8, MAX_LENGTH)
    ids = Ragged.of([rng.integers(len(SPECIALS), vocabulary, n).tolist() for n in lengths])
    return Features(
        input_ids=ids,
        second=ids.lengths.astype(np.int32),
        example=np.arange(num_rows, dtype=np.int32),
        labels=Ragged.of([[int(label)] for label in rng.integers(0, 3, num_rows)]),
        origins=Ragged.of([()] * num_rows),
        num_truncated=0,
    )


def base_of(shape: Shape) -> BaseEncoder:
    """Random weights, and a tokenizer that only has to pad."""
    words = {f"piece-{i}": i for i in range(len(SPECIALS), shape.vocabulary)}
    vocabulary = {**{special: i for i, special in enumerate(SPECIALS)}, **words}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>")),
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
    )
    torch.manual_seed(0)
    encoder = XLMRobertaModel(config_of(shape, tokenizer), add_pooling_layer=False)
    return BaseEncoder(encoder, tokenizer, "random", "pieces")


def bench(given: argparse.Namespace, folder: Path) -> Bench:
    """Every row once."""
    shape = TINY if given.tiny else LARGE
    base = base_of(shape)
    recipe = Recipe(num_steps=given.steps, batch_size=given.batch_size, max_length=MAX_LENGTH)
    phase = Phase(mixture=Mixture.of({TASK: 1.0}), learning_rate=1e-5, seed=0, recipe=recipe)
    rows = drawn_features(given.steps * given.batch_size, shape.vocabulary)
    return Bench(base, rows, phase, shape, folder)


def sides_of(found: Bench) -> dict[str, Callable[[], tuple[float, Any]]]:
    """Theirs only where the Trainer can run."""
    if importlib.util.find_spec("accelerate") is None:
        return {"ours": found.ours}
    return {"ours": found.ours, "theirs": found.theirs}


def mfu(found: Bench, tokens_a_second: float, peak: float) -> dict[str, str]:
    lengths = found.features.input_ids.lengths
    mean_length = float((lengths**2).sum() / lengths.sum())  # as a token sees it
    share = tokens_a_second * flops_a_token(found.shape, mean_length) / peak
    return {"bf16 matmul peak": f"{peak / 1e12:.3g} TFLOP/s", "useful-token MFU": f"{share:.1%}"}


def shortened(phase: Phase) -> Phase:
    return replace(phase, recipe=replace(phase.recipe, num_steps=WARMUP_STEPS))


def report(found: Bench, given: argparse.Namespace) -> None:
    device, sides = Workers.alone().device, sides_of(found)
    timed = in_turns(sides, num_turns=given.turns)
    speed, told = statistics.median(timed["ours"][0]), timed["ours"][1][0]
    facts: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "CPU",
        "encoder": str(found.shape),
        "useful positions": f"{told['useful']:.1%}",
        "memory": f"{told['gib']:.1f} GiB",
    }
    if device.type == "cuda":
        facts |= mfu(found, speed, matmul_peak(device, 8192))
    lines = []
    if "theirs" in timed:
        theirs = timed["theirs"][1][0]
        facts["memory"] += f" and {theirs['gib']:.1f} GiB"
        lines = [
            Line(
                name="training on a GPU, Trainer in bf16: group_by_length",
                ours=timed["ours"][0],
                theirs=timed["theirs"][0],
                unit="useful tokens/s",
                is_rate=True,
                equal=f"mean loss {told['loss']:.3f} and {theirs['loss']:.3f}",
            )
        ]
    else:
        facts["useful tokens/s"] = round(speed)
        facts["theirs"] = "not measured: accelerate is not installed"
    publish("One GPU", lines, facts=facts, results=RESULTS if given.write else None)


def main() -> None:
    parser = options("XLM-R Large's shape on one GPU.")
    parser.add_argument("--tiny", action="store_true", help="a small shape, to try the code")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=32)
    given = parser.parse_args()
    if not (given.tiny or torch.cuda.is_available()):
        parser.error("there is no GPU; --tiny tries the code without one")
    if given.tiny and given.write:
        parser.error("--tiny measures nothing that belongs in RESULTS.md")
    quiet_libraries()
    with tempfile.TemporaryDirectory(prefix="transfer-search-") as scratch:
        found = bench(given, Path(scratch))
        warm = replace(found, phase=shortened(found.phase))
        for side in sides_of(warm).values():
            side()
        report(found, given)


if __name__ == "__main__":
    main()
