"""Compares training with the Hugging Face Trainer in examples per second: same model, same rows,
same number of steps.

    OMP_NUM_THREADS=1 python -m benchmarks.training_throughput [--data-root DIR] [--write]

The rows are MNLI's. The Trainer runs in three ways: padded to 128 as run_xnli.py does, padded to
the longest sequence of the batch, and the latter with `group_by_length`. Every side trains one
whole epoch of as many batches as both our loop and `group_by_length` sort together. A fourth
Trainer gets our batches and our learning rates; its losses must equal ours.
"""

import statistics
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import DataCollatorWithPadding, default_data_collator

from benchmarks.common.measuring import RESULTS, Line, in_turns, options, publish, seconds_of
from benchmarks.common.small_model import (
    MAX_LENGTH,
    NO_SAVING,
    ForTrainer,
    QuietTrainer,
    SameBatches,
    Shape,
    phase_arguments,
    rows_of,
    write_encoder,
)
from spaces.mixture import Mixture
from spaces.phases import Phase, Recipe
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.source import Source
from trainables.encoders.model import BaseEncoder, TransferModel
from trainables.features.features import Data
from trainables.formats.base import Features
from trainables.pretraining.corpus import TaskText
from trainables.quiet import quiet_libraries
from trainables.rows.rows import Rows
from trainables.training.batches import POOL_BATCHES, Steps
from trainables.training.loop import READ_EVERY, Progress, train_phase
from trainables.training.workers import Workers

TASK, ENCODER = SHIPPED.get("mnli"), "encoder"
LANGUAGES = ("en", "de", "es", "fr")  # of the text that the tokenizer is trained on
BATCH_SIZE = 16
MAX_DIFFERENCE = 1e-3  # of a mean loss over ten steps, when both sides get the same batches
WANTED = {"padded to 128": 2.5, "dynamic padding": None, "group_by_length": 1.3}


@dataclass(frozen=True, slots=True)
class Bench:
    """One phase, its rows, and the folder that the Trainer may write to."""

    base: BaseEncoder
    phase: Phase
    features: Features
    folder: Path

    @property
    def source(self) -> Source:
        return Source(TASK, TASK.source_language)

    def model(self) -> TransferModel:
        return self.base.model((TASK,), encoder=None, seed=0)

    def num_examples(self) -> int:
        return self.phase.recipe.num_steps * self.phase.recipe.batch_size

    def ours(self, workers: Workers | None = None) -> tuple[float, Progress]:
        """Train with our loop as one of these workers, or alone without workers; return examples
        per second and progress."""
        model = self.model()
        seconds, progress = seconds_of(
            lambda: train_phase(
                model,
                self.phase,
                {self.source: self.features},
                tokenizer=self.base.tokenizer,
                workers=workers or Workers.alone(),
                max_device_tokens=16_384,
                saving=NO_SAVING,
            )
        )
        return progress.num_examples / seconds, progress

    def theirs(
        self, *, padded_to: int | None = None, strategy: str = "random"
    ) -> tuple[float, list[float]]:
        rows = rows_of(
            self.features,
            is_tagged=False,
            padded_to=padded_to,
            pad_id=self.base.tokenizer.pad_token_id,
        )
        collator = (
            default_data_collator if padded_to else DataCollatorWithPadding(self.base.tokenizer)
        )
        trainer = QuietTrainer(
            model=ForTrainer(self.model(), TASK),
            args=phase_arguments(self.folder, self.phase, train_sampling_strategy=strategy),
            train_dataset=rows,  # type: ignore[arg-type]
            data_collator=collator,
        )
        return self._timed(trainer)

    def same_batches(self) -> tuple[float, list[float]]:
        steps = Steps(self.phase, {self.source: self.features}, self.base.tokenizer, start=0)
        trainer = SameBatches(
            batches=[steps.read(step).batch for step in range(self.phase.recipe.num_steps)],
            phase=self.phase,
            model=ForTrainer(self.model(), TASK),
            args=phase_arguments(self.folder, self.phase),
        )
        return self._timed(trainer)

    def _timed(self, trainer: QuietTrainer) -> tuple[float, list[float]]:
        seconds, _ = seconds_of(trainer.train)
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        return self.num_examples() / seconds, losses


def make_encoder(folder: Path, data_root: str | None, shape: Shape) -> None:
    text = TaskText.of("flores", LANGUAGES, pair_share=0.0, seed=0, source=Rows(data_root))
    write_encoder(folder / ENCODER, text.rows(), shape)


def open_bench(folder: Path, data_root: str | None, *, num_steps: int) -> Bench:
    """Open the benchmark with the encoder of the folder, and tokenise its rows there once."""
    base = BaseEncoder.load(str(folder / ENCODER))
    num_rows = num_steps * BATCH_SIZE
    recipe = Recipe(
        num_steps=num_steps, batch_size=BATCH_SIZE, max_length=MAX_LENGTH, max_train_rows=num_rows
    )
    mixture = Mixture.of([(Source(TASK, TASK.source_language), 1.0)])
    phase = Phase(mixture=mixture, learning_rate=5e-4, seed=0, recipe=recipe)
    features = Data(folder / "data", base, Rows(data_root)).features(
        TASK, "en", "train", max_rows=num_rows, max_length=MAX_LENGTH
    )
    assert len(features) == num_rows, f"{len(features)} rows are too few for {num_steps} steps"
    return Bench(base, phase, features, folder / "trainer")


def measure(bench: Bench, *, num_turns: int) -> tuple[list[Line], Mapping[str, Any]]:
    sides: dict[str, Callable[[], tuple[float, Any]]] = {
        "ours": bench.ours,
        "padded to 128": lambda: bench.theirs(padded_to=MAX_LENGTH),
        "dynamic padding": bench.theirs,
        "group_by_length": lambda: bench.theirs(strategy="group_by_length"),
        "our batches": bench.same_batches,
    }
    timed = in_turns(sides, num_turns=num_turns)
    progress: Progress = timed["ours"][1][0]
    ours = statistics.fmean(progress.losses)
    lines = [
        Line(
            name=f"training, Trainer: {name}",
            ours=timed["ours"][0],
            theirs=timed[name][0],
            unit="examples/s",
            is_rate=True,
            target=wanted,
            equal=f"mean loss {ours:.3f} and {statistics.fmean(timed[name][1][0]):.3f}",
        )
        for name, wanted in WANTED.items()
    ]
    same: list[float] = timed["our batches"][1][0]
    difference = max(abs(a - b) for a, b in zip(progress.losses, same, strict=True))
    assert difference < MAX_DIFFERENCE, (progress.losses, same)
    lines.append(
        Line(
            name="training, Trainer: our batches",
            ours=timed["ours"][0],
            theirs=timed["our batches"][0],
            unit="examples/s",
            is_rate=True,
            equal=f"every ten steps' loss, within {difference:.0e}",
        )
    )
    lengths = bench.features.input_ids.lengths
    facts = {
        "rows": f"{len(lengths)} of MNLI, {lengths.mean():.0f} tokens (median "
        f"{statistics.median(lengths):.0f}, longest {lengths.max()})",
        "steps": f"{bench.phase.recipe.num_steps} of {BATCH_SIZE} examples",
        "useful positions": f"{progress.num_useful_tokens / progress.num_tokens:.1%} (wanted 95 %)",
    }
    return lines, facts


def main() -> None:
    parser = options("Compares training with the Hugging Face Trainer.")
    parser.add_argument(
        "--steps", type=int, default=POOL_BATCHES, help="number of steps; a multiple of 50 is best"
    )
    arguments = parser.parse_args()
    if arguments.steps % READ_EVERY:
        parser.error(f"--steps is {arguments.steps}; expected a multiple of {READ_EVERY}")
    quiet_libraries()
    shape = Shape()
    with tempfile.TemporaryDirectory(prefix="transfer-search-") as scratch:
        make_encoder(Path(scratch), arguments.data_root, shape)
        bench = open_bench(Path(scratch), arguments.data_root, num_steps=arguments.steps)
        lines, facts = measure(bench, num_turns=arguments.turns)
    facts = {"encoder": str(shape), **facts}
    publish("Training", lines, facts=facts, results=RESULTS if arguments.write else None)


if __name__ == "__main__":
    main()
