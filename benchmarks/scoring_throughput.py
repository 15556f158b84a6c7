"""Compares zero-shot evaluation of all languages with one `Trainer.predict` per language, and with
one process per language.

    OMP_NUM_THREADS=1 python -m benchmarks.scoring_throughput [--data-root DIR] [--write]

Both sides tag PAN-X's validation rows with the same random model and must give the same tag to
every word. The rows are tokenised before. A process of their side loads the model, predicts one
language and scores it, as `run_xnli.py --language` does. Our side is timed in a warm worker, and
again with the start of a process.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import DataCollatorForTokenClassification

from benchmarks.common.measuring import RESULTS, Line, in_turns, options, publish, seconds_of
from benchmarks.common.small_model import (
    MAX_LENGTH,
    ForTrainer,
    QuietTrainer,
    Shape,
    rows_of,
    trainer_arguments,
    write_encoder,
)
from spaces.study_file.study import StudySettings
from spaces.tasks.catalogue import SHIPPED
from trainables.encoders.model import TransferModel
from trainables.pretraining.corpus import TaskText
from trainables.quiet import quiet_libraries
from trainables.rows.rows import Rows
from trainables.training.context import TrialContext
from trainables.training.evaluate import Scoring, judge, predict
from trainables.training.workers import Workers

TASK, SPLIT = SHIPPED.get("panx"), "validation"
BATCH_SIZE = 32  # of their side; the default of run_xnli.py is 8
MAX_DIFFERENCE = 1e-3  # of an F1, since one tag in ten thousand may differ by rounding
Tags = Mapping[str, Sequence[Any]]  # language -> tags of every row
Scored = tuple[Tags, Mapping[str, float]]  # tags, and language -> F1


@dataclass(frozen=True, slots=True)
class Bench:
    """The model in a warm worker, and the languages that are scored."""

    context: TrialContext
    model: TransferModel
    languages: tuple[str, ...]
    folder: Path

    @classmethod
    def open(cls, folder: Path, languages: Sequence[str], data_root: str | None) -> "Bench":
        settings = study(str(folder / "encoder"), data_root)
        context = TrialContext.open(
            settings, home=folder, encoder=settings.study.encoder, workers=Workers.alone()
        )
        with_rows = context.data.rows.languages(TASK, languages, SPLIT)
        return cls(context, context.base.model((TASK,), encoder=None, seed=0), with_rows, folder)

    def scoring(self, max_rows: int) -> Scoring:
        return Scoring(
            task=TASK,
            languages=self.languages,
            split=SPLIT,
            max_rows=max_rows,
            max_length=MAX_LENGTH,
            retrieval_layer=None,
            selection="target_dev",
        )

    def features(self, language: str, max_rows: int) -> Any:
        return self.context.data.features(
            TASK, language, SPLIT, max_rows=max_rows, max_length=MAX_LENGTH
        )

    def ours(self, max_rows: int) -> Scored:
        scoring = self.scoring(max_rows)
        tags = predict(self.model, scoring, self.context)
        return tags, self.scores(tags, scoring)

    def theirs(self, trainer: QuietTrainer, rows: Mapping[str, Any], max_rows: int) -> Scored:
        """Score with the Trainer, language by language; `rows` are its rows by language."""
        scoring = self.scoring(max_rows)
        tags = {}
        for language, language_rows in rows.items():
            features = self.features(language, max_rows)
            best = trainer.predict(language_rows).predictions.argmax(axis=-1)
            lengths = features.input_ids.lengths.tolist()
            outputs = [row[:length] for row, length in zip(best, lengths, strict=True)]
            examples = self.context.data.examples(TASK, language, SPLIT, max_rows=max_rows)
            tags[language] = scoring.format.decode(outputs, features, examples, TASK)
        return tags, self.scores(tags, scoring)

    def scores(self, tags: Tags, scoring: Scoring) -> Mapping[str, float]:
        judged = judge(tags, scoring, self.context, formats={})
        return {language: found.metrics["f1"] for language, found in judged.items()}

    def trainer(self, *, is_padded: bool) -> QuietTrainer:
        collator = DataCollatorForTokenClassification(
            self.context.base.tokenizer,
            padding="max_length" if is_padded else True,
            max_length=MAX_LENGTH if is_padded else None,
        )
        return QuietTrainer(
            model=ForTrainer(self.model, TASK),
            args=trainer_arguments(self.folder / "trainer", per_device_eval_batch_size=BATCH_SIZE),
            data_collator=collator,
        )

    def rows(self, max_rows: int) -> dict[str, Any]:
        pad_id = self.context.base.tokenizer.pad_token_id
        return {
            language: rows_of(
                self.features(language, max_rows), is_tagged=True, padded_to=None, pad_id=pad_id
            )
            for language in self.languages
        }


def study(encoder: str, data_root: str | None) -> StudySettings:
    recipe = {"num_steps": 1, "batch_size": 1, "max_length": MAX_LENGTH}
    return StudySettings.parse(
        {
            "study": {"name": "bench", "encoder": encoder, "seed": 0, "data_root": data_root},
            "space": {
                "intermediate": ["none", "mnli"],
                "intermediate_learning_rate": [1e-4],
                "target_learning_rate": [1e-4],
                "targets": [TASK.name],
            },
            "training": {"intermediate": recipe, "target": recipe},
            "budget": {"num_trials": 1},
        }
    )


def measure(bench: Bench, arguments: argparse.Namespace) -> tuple[list[Line], Mapping[str, Any]]:
    rows, num = bench.rows(arguments.rows), arguments.rows
    trainers = {name: bench.trainer(is_padded=name == "padded") for name in ("dynamic", "padded")}
    sides: dict[str, Callable[[], tuple[float, Any]]] = {
        "ours": lambda: seconds_of(lambda: bench.ours(num)),
        "dynamic": lambda: seconds_of(lambda: bench.theirs(trainers["dynamic"], rows, num)),
        "padded": lambda: seconds_of(lambda: bench.theirs(trainers["padded"], rows, num)),
    }
    timed = in_turns(sides, num_turns=arguments.turns)
    ours: Scored = timed["ours"][1][0]
    lines = [
        Line(
            name=f"evaluation, Trainer.predict per language, {words}",
            ours=timed["ours"][0],
            theirs=timed[name][0],
            unit="s",
            target=2.0,
            equal=alike(ours, timed[name][1][0]),
        )
        for name, words in (("dynamic", "dynamic padding"), ("padded", "padded to 128"))
    ]
    lines += against_processes(bench, arguments, statistics.median(timed["ours"][0]))
    num_rows = sum(len(tags) for tags in ours[0].values())
    facts = {
        "rows": f"{num_rows} of PAN-X in {len(bench.languages)} languages, at most {num} each",
        "theirs": f"batches of {BATCH_SIZE}",
    }
    return lines, facts


def against_processes(bench: Bench, arguments: argparse.Namespace, warm: float) -> list[Line]:
    """Time one process of theirs per language, one after the other, and one process of ours for all
    languages; one turn."""
    seconds, scores = 0.0, {}
    for language in bench.languages:
        spent, f1 = seconds_of(lambda: process(bench, arguments, "theirs", (language,)))  # noqa: B023
        seconds += spent
        scores.update(f1)
    cold, our_scores = seconds_of(lambda: process(bench, arguments, "ours", bench.languages))
    difference = max(abs(our_scores[code] - scores[code]) for code in our_scores)
    assert difference < MAX_DIFFERENCE, (our_scores, scores)
    equal = f"F1 of all {len(our_scores)} languages, within {difference:.0e}"
    return [
        Line(
            name=f"evaluation, one process per language: {words}",
            ours=(value,),
            theirs=(seconds,),
            unit="s",
            target=target,
            equal=equal,
        )
        for words, value, target in (
            ("a warm worker", warm, 8.0),
            ("one process of ours", cold, None),
        )
    ]


def alike(first: Scored, second: Scored) -> str:
    """Return how many tags are equal; fail if more differ than rounding explains."""
    pairs = [
        (a, b)
        for language in first[0]
        for x, y in zip(first[0][language], second[0][language], strict=True)
        for a, b in zip(x, y, strict=True)
    ]
    num_other = sum(a != b for a, b in pairs)
    assert num_other <= len(pairs) / 10_000, f"{num_other} of {len(pairs)} tags differ"
    return f"{len(pairs) - num_other} of {len(pairs)} tags"


def process(
    bench: Bench, arguments: argparse.Namespace, side: str, languages: Sequence[str]
) -> dict[str, float]:
    """Return language -> F1, computed in a separate process."""
    line = [sys.executable, "-m", "benchmarks.scoring_throughput", "--alone", side]
    line += ["--folder", str(bench.folder), "--rows", str(arguments.rows)]
    line += ["--languages", *languages]
    line += ["--data-root", arguments.data_root] if arguments.data_root else []
    done = subprocess.run(line, check=True, stdout=subprocess.PIPE, env=os.environ, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def alone(arguments: argparse.Namespace) -> None:
    """Score one side in this process and print language -> F1; `process` starts this."""
    bench = Bench.open(arguments.folder, arguments.languages, arguments.data_root)
    if arguments.alone == "ours":
        scores = bench.ours(arguments.rows)[1]
    else:
        trainer = bench.trainer(is_padded=False)
        scores = bench.theirs(trainer, bench.rows(arguments.rows), arguments.rows)[1]
    print(json.dumps(dict(scores)))


def main() -> None:
    parser = options("Compares zero-shot evaluation of all languages with the Trainer's.")
    parser.add_argument("--languages", nargs="+", default=list(TASK.languages))
    parser.add_argument("--rows", type=int, default=200, help="largest number of rows per language")
    parser.add_argument("--alone", choices=("ours", "theirs"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    quiet_libraries()
    if arguments.alone:
        alone(arguments)
        return
    shape = Shape()
    with tempfile.TemporaryDirectory(prefix="transfer-search-") as scratch:
        folder = Path(scratch)
        text = TaskText.of(
            "flores", arguments.languages, pair_share=0.0, seed=0, source=Rows(arguments.data_root)
        )
        write_encoder(folder / "encoder", text.rows(), shape)
        bench = Bench.open(folder, arguments.languages, arguments.data_root)
        lines, facts = measure(bench, arguments)
    facts = {"encoder": str(shape), **facts}
    publish("Evaluation", lines, facts=facts, results=RESULTS if arguments.write else None)


if __name__ == "__main__":
    main()
