"""Measures training of XLM-R Large's shape on one GPU (tokens per second, useful-token MFU, memory)
and compares it with the Trainer.

    python -m benchmarks.gpu_throughput [--tiny] [--write]

The weights are random and the rows are drawn with the lengths of NLI pairs, so nothing is read or
downloaded. It needs torch and transformers, but not Ray. The Trainer needs accelerate; without it
that side is left out, and the output says so. It takes about three minutes on a recent GPU.
`--tiny` runs the same code with a small shape, also on a CPU; its numbers mean nothing.

MFU counts useful tokens only. Per token it counts 6 FLOPs for each weight of the layers, and
12 x layers x width x length for attention. It is relative to the bf16 peak that a matrix product of
size 8192 reaches on this GPU.
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

from benchmarks.common.measuring import RESULTS, Line, in_turns, options, publish, seconds_of
from benchmarks.common.small_model import (
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
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.source import Source
from trainables.encoders.model import BaseEncoder
from trainables.formats.base import Features, Ragged
from trainables.pocket.tokenizer import SPECIALS
from trainables.quiet import quiet_libraries
from trainables.training.loop import train_phase
from trainables.training.workers import Workers

TASK = SHIPPED.get("mnli")
LARGE = Shape(
    vocabulary=250_002, hidden_size=1024, num_layers=24, num_heads=16, feed_forward_size=4096
)
TINY = Shape(vocabulary=500, hidden_size=64, num_layers=2, num_heads=4, feed_forward_size=128)
# Lengths of MNLI's pairs in XLM-R's pieces: log-normal with median 38; a tenth are above 70.
MEDIAN_LENGTH, LENGTH_SIGMA = 38.0, 0.48
WARMUP_STEPS = 10  # untimed steps of each side


@dataclass(frozen=True, slots=True)
class Bench:
    base: BaseEncoder
    features: Features
    phase: Phase
    shape: Shape
    folder: Path

    def ours(self) -> tuple[float, dict[str, float]]:
        """Return useful tokens per second, and loss, memory and useful share of the run."""
        workers = Workers.alone()
        model = self.base.model((TASK,), encoder=None, seed=0).to(workers.device)
        seconds, gib, progress = on_device(
            workers.device,
            lambda: train_phase(
                model,
                self.phase,
                {Source(TASK, TASK.source_language): self.features},
                tokenizer=self.base.tokenizer,
                workers=workers,
                max_device_tokens=16_384,
                saving=NO_SAVING,
            ),
        )
        useful = progress.num_useful_tokens / progress.num_tokens
        details = {"loss": statistics.fmean(progress.losses), "gib": gib, "useful": useful}
        return progress.num_useful_tokens / seconds, details

    def theirs(self) -> tuple[float, dict[str, float]]:
        """Return the same for the Trainer. It trains one epoch, as our side does, so the useful
        tokens are those of all rows."""
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
        seconds, setup = seconds_of(call)
        return seconds, 0.0, setup
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    torch.cuda.synchronize()

    def waited() -> Any:
        result = call()
        torch.cuda.synchronize()
        return result

    seconds, result = seconds_of(waited)
    return seconds, torch.cuda.max_memory_allocated() / 2**30, result


def matmul_peak(device: torch.device, size: int) -> float:
    """Return FLOPs per second of a bf16 matrix product of this size, the best of ten runs."""
    matrix = torch.randn(size, size, dtype=torch.bfloat16, device=device)
    best = float("inf")
    for _ in range(10):
        started = time.perf_counter()
        product = matrix @ matrix
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
        del product
    return 2 * size**3 / best


def flops_a_token(shape: Shape, length: float) -> float:
    """Return FLOPs per token of a forward and a backward pass.

    They count the layers' matrices and attention over `length` tokens. Embeddings are looked up,
    not multiplied. Source: appendix B of PaLM (Chowdhery et al. 2022).
    """
    width, inner = shape.hidden_size, shape.feed_forward_size
    weights = shape.num_layers * (4 * width * width + 2 * width * inner)
    return 6 * weights + 12 * shape.num_layers * width * length


def drawn_features(num_rows: int, vocabulary: int) -> Features:
    """Return rows of random pieces with MNLI's lengths, at most 128 tokens, and random labels."""
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
    """Return an encoder with random weights, and a tokenizer that is used only for padding."""
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


def bench(arguments: argparse.Namespace, folder: Path) -> Bench:
    """Return the benchmark of one epoch, in which every row is used once."""
    shape = TINY if arguments.tiny else LARGE
    base = base_of(shape)
    recipe = Recipe(
        num_steps=arguments.steps, batch_size=arguments.batch_size, max_length=MAX_LENGTH
    )
    mixture = Mixture.of([(Source(TASK, TASK.source_language), 1.0)])
    phase = Phase(mixture=mixture, learning_rate=1e-5, seed=0, recipe=recipe)
    rows = drawn_features(arguments.steps * arguments.batch_size, shape.vocabulary)
    return Bench(base, rows, phase, shape, folder)


def sides_of(setup: Bench) -> dict[str, Callable[[], tuple[float, Any]]]:
    """Return the sides to time; theirs is left out if accelerate is not installed."""
    if importlib.util.find_spec("accelerate") is None:
        return {"ours": setup.ours}
    return {"ours": setup.ours, "theirs": setup.theirs}


def mfu(setup: Bench, tokens_a_second: float, peak: float) -> dict[str, str]:
    lengths = setup.features.input_ids.lengths
    mean_length = float((lengths**2).sum() / lengths.sum())  # mean over tokens, not over rows
    share = tokens_a_second * flops_a_token(setup.shape, mean_length) / peak
    return {"bf16 matmul peak": f"{peak / 1e12:.3g} TFLOP/s", "useful-token MFU": f"{share:.1%}"}


def shortened(phase: Phase) -> Phase:
    return replace(phase, recipe=replace(phase.recipe, num_steps=WARMUP_STEPS))


def report(setup: Bench, arguments: argparse.Namespace) -> None:
    device, sides = Workers.alone().device, sides_of(setup)
    timed = in_turns(sides, num_turns=arguments.turns)
    speed, details = statistics.median(timed["ours"][0]), timed["ours"][1][0]
    facts: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "CPU",
        "encoder": str(setup.shape),
        "useful positions": f"{details['useful']:.1%}",
        "memory": f"{details['gib']:.1f} GiB",
    }
    if device.type == "cuda":
        facts |= mfu(setup, speed, matmul_peak(device, 8192))
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
                equal=f"mean loss {details['loss']:.3f} and {theirs['loss']:.3f}",
            )
        ]
    else:
        facts["useful tokens/s"] = round(speed)
        facts["theirs"] = "not measured: accelerate is not installed"
    publish("One GPU", lines, facts=facts, results=RESULTS if arguments.write else None)


def main() -> None:
    parser = options("Measures training of XLM-R Large's shape on one GPU.")
    parser.add_argument("--tiny", action="store_true", help="use a small shape, to try the code")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=32)
    arguments = parser.parse_args()
    if not (arguments.tiny or torch.cuda.is_available()):
        parser.error("there is no GPU; use --tiny to try the code without one")
    if arguments.tiny and arguments.write:
        parser.error("--tiny cannot be combined with --write: its numbers mean nothing")
    quiet_libraries()
    with tempfile.TemporaryDirectory(prefix="transfer-search-") as scratch:
        setup = bench(arguments, Path(scratch))
        warm = replace(setup, phase=shortened(setup.phase))
        for side in sides_of(warm).values():
            side()
        report(setup, arguments)


if __name__ == "__main__":
    main()
