"""Compares a search of twelve trials with the same trials written by hand with Ray and the Trainer.

    OMP_NUM_THREADS=1 python -m benchmarks.search_by_hand [--write]

By hand means: Ray Tune runs a function that trains each phase in a separate Ray Train run with the
Hugging Face Trainer, starting from the encoder that the previous phase wrote to disk.

Both sides run the same twelve plans on the pocket's rows with the same encoder, heads and recipes,
two trials at a time. Batches are padded to their longest sequence. The rows are tokenised before
for both sides. Their side trains every phase of every trial and records nothing. Our side shares
stages and writes Optuna's and MLflow's databases. Each side is a process that starts Ray itself;
its time is measured from start to end.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

import ray
from ray import train, tune
from ray.train.torch import TorchTrainer
from safetensors.torch import load_file, save_file
from transformers import DataCollatorForTokenClassification, DataCollatorWithPadding

from benchmarks.common.measuring import RESULTS, Line, figures, options, publish, seconds_of
from benchmarks.common.small_model import (
    ForTrainer,
    QuietTrainer,
    Shape,
    phase_arguments,
    rows_of,
    write_pocket_encoder,
)
from search.record.address import ExperimentAddress
from search.record.reader import StudyRecord, read_study
from spaces.phases import Phase, Target, TrialPlan
from spaces.study_file.study import StudySettings
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.task import TaskKind
from trainables.features.prepare import prepare
from trainables.pocket.cldr import LANGUAGES
from trainables.quiet import quiet_libraries
from trainables.training.context import TrialContext
from trainables.training.evaluate import judge
from trainables.training.trial import DEV, scoring_of
from trainables.training.workers import Workers

SPOKEN = LANGUAGES[:4]
NAME, NUM_TRIALS, BATCH_SIZE = "by-hand", 12, 32
FILE = """
[study]
name = "{name}"
encoder = "{encoder}"
seed = 0
sampler = "grid"

[space]
intermediate = ["none", "rel", "rel@de", "rel@es", "pos@de", "ner@de"]
intermediate_learning_rate = [5e-4]
target_learning_rate = [3e-4, 1e-3]
targets = ["coh", "pos"]

[training.intermediate]
num_steps = 200
batch_size = 16
max_length = 64

[training.target]
num_steps = 40
batch_size = 16
max_length = 64

[evaluation]
languages = [{languages}]

[resources]
max_concurrent_trials = 2

[budget]
num_trials = {num_trials}
"""


def write_study(folder: Path, shape: Shape) -> Path:
    encoder = write_pocket_encoder(folder / "encoder", SPOKEN, shape)
    languages = ", ".join(f'"{language}"' for language in SPOKEN[1:])
    path = folder / f"{NAME}.toml"
    path.write_text(
        FILE.format(name=NAME, encoder=encoder, languages=languages, num_trials=NUM_TRIALS)
    )
    return path


def context_of(study: Path, home: Path) -> TrialContext:
    settings = StudySettings.load(study)
    return TrialContext.open(
        settings, home=home, encoder=settings.study.encoder, workers=Workers.alone()
    )


# ---- by hand


def phase_worker(config: dict[str, Any]) -> dict[str, Any]:
    """Train one phase with the Trainer in a worker of Ray Train, from a file of weights to a file
    of weights; predict a target language by language."""
    quiet_libraries()
    context = context_of(Path(config["study"]), Path(config["home"]))
    phase = Phase.from_dict(config["phase"], SHIPPED)
    (source,) = phase.mixture.sources
    is_tagged = source.task.kind is TaskKind.TAGGING
    tokenizer = context.base.tokenizer
    features = context.data.features(
        source.task,
        source.language,
        "train",
        max_rows=phase.recipe.max_train_rows,
        max_length=phase.recipe.max_length,
    )
    encoder = load_file(config["start"]) if config["start"] else None
    model = context.base.model((source.task,), encoder=encoder, seed=phase.seed)
    trainer = QuietTrainer(
        model=ForTrainer(model, source.task),
        args=phase_arguments(Path(config["folder"]), phase, per_device_eval_batch_size=BATCH_SIZE),
        train_dataset=_rows(features, is_tagged=is_tagged, context=context),
        data_collator=(
            DataCollatorForTokenClassification(tokenizer)
            if is_tagged
            else DataCollatorWithPadding(tokenizer)
        ),
    )
    seconds, _ = seconds_of(trainer.train)
    if config["end"]:
        save_file(model.encoder.state_dict(), config["end"])
    report: dict[str, Any] = {"seconds": seconds}
    if config["target"]:
        report["score"] = score(trainer, Target.from_dict(config["target"], SHIPPED), context)
    return report


def score(trainer: QuietTrainer, target: Target, context: TrialContext) -> float:
    """Return the zero-shot mean of a target."""
    scoring, task = scoring_of(target, context, split=DEV), target.task
    is_tagged = task.kind is TaskKind.TAGGING
    predicted = {}
    for language in scoring.languages:
        features = context.data.features(
            task, language, DEV, max_rows=None, max_length=scoring.max_length
        )
        logits = trainer.predict(_rows(features, is_tagged=is_tagged, context=context)).predictions
        outputs = list(logits)
        if is_tagged:
            lengths = features.input_ids.lengths.tolist()
            best = logits.argmax(axis=-1)
            outputs = [row[:length] for row, length in zip(best, lengths, strict=True)]
        examples = context.data.examples(task, language, DEV, max_rows=None)
        predicted[language] = scoring.format.decode(outputs, features, examples, task)
    judged = judge(predicted, scoring, context, formats={})
    scores = {language: found.metrics[task.metric] for language, found in judged.items()}
    return statistics.fmean(
        value for language, value in scores.items() if language != task.source_language
    )


def _rows(features: Any, *, is_tagged: bool, context: TrialContext) -> Any:
    pad_id = context.base.tokenizer.pad_token_id
    return rows_of(features, is_tagged=is_tagged, padded_to=None, pad_id=pad_id)


def hand_trial(config: dict[str, Any]) -> None:
    """Train the phases of a plan, one Ray Train run after the other; Tune calls this function."""
    plan = TrialPlan.from_dict(config["plan"], SHIPPED)
    folder = Path(config["folder"], uuid.uuid4().hex)
    folder.mkdir(parents=True)
    intermediate = str(folder / "intermediate.safetensors") if plan.intermediate else None
    runs = [(plan.intermediate, None, intermediate, None)] if plan.intermediate else []
    runs += [(target.phase, intermediate, None, target.to_dict()) for target in plan.targets]
    scores, seconds, examples = [], 0.0, 0
    for phase, start, end, target in runs:
        assert phase is not None
        run = {"phase": phase.to_dict(), "start": start, "end": end, "target": target}
        trainer: Any = TorchTrainer(
            phase_worker,
            train_loop_config={**config, **run, "folder": str(folder)},
            scaling_config=train.ScalingConfig(num_workers=1),
            run_config=train.RunConfig(name=uuid.uuid4().hex, storage_path=str(folder)),
        )
        report = trainer.fit().return_value
        seconds += report["seconds"]
        examples += phase.recipe.num_steps * phase.recipe.batch_size
        scores += [report["score"]] if target else []
    tune.report({"score": statistics.fmean(scores), "seconds": seconds, "examples": examples})


def by_hand(study: Path, home: Path, folder: Path) -> dict[str, Any]:
    """Run all trials of their side in this process and return their results together."""
    space = StudySettings.load(study).search_space()
    plans = [space.decode(point).to_dict() for point in space.grid_points()]
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    tuner = tune.Tuner(
        # The trial only waits for its worker, so it reserves no CPU.
        tune.with_resources(
            hand_trial, tune.PlacementGroupFactory([{"node:__internal_head__": 0.001}])
        ),
        param_space={
            "plan": tune.grid_search(plans),
            "study": str(study),
            "home": str(home),
            "folder": str(folder),
        },
        tune_config=tune.TuneConfig(max_concurrent_trials=2),
        run_config=tune.RunConfig(name="by-hand", storage_path=str(folder), verbose=0),
    )
    results = tuner.fit()
    assert results.num_errors == 0, results.errors
    trials = [result.metrics or {} for result in results]
    return {
        "scores": [metrics["score"] for metrics in trials],
        "seconds": sum(metrics["seconds"] for metrics in trials),
        "examples": sum(metrics["examples"] for metrics in trials),
    }


# ---- both


def ours(study: Path, home: Path) -> StudyRecord:
    line = [sys.executable, "-m", "search.cli", "run", str(study), "--home", str(home)]
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    uri = f"sqlite:///{home / 'mlflow.db'}"
    return read_study(ExperimentAddress(uri).for_study(NAME))


def theirs(study: Path, home: Path, folder: Path) -> dict[str, Any]:
    line = [sys.executable, "-m", "benchmarks.search_by_hand", "--alone", str(study), str(home)]
    done = subprocess.run(
        [*line, str(folder)], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(folder: Path, shape: Shape) -> tuple[list[Line], dict[str, Any]]:
    study, home = write_study(folder, shape), folder / "home"
    context = context_of(study, home)
    prepare(context.settings, context.data, num_processes=2, on_done=lambda done, total: None)
    ours_seconds, record = seconds_of(lambda: ours(study, home))
    theirs_seconds, hand = seconds_of(lambda: theirs(study, home, folder / "hand"))
    scored = [row.objective for row in record.rows if row.objective is not None]
    assert len(scored) == len(hand["scores"]) == NUM_TRIALS
    training = sum((row.seconds or {}).get("training", 0.0) for row in record.rows)
    examples = float(sum(phase.num_examples for phase in record.phases))
    means = [statistics.fmean(values) for values in (scored, hand["scores"])]
    equal = f"mean zero-shot score of the trials {means[0]:.3f} and {means[1]:.3f}"
    lines = [
        Line(
            name="twelve trials, Tune and Trainer by hand: wall time",
            ours=(ours_seconds,),
            theirs=(theirs_seconds,),
            unit="s",
            target=3.0,
            equal=equal,
        ),
        Line(
            name="twelve trials, Tune and Trainer by hand: examples trained",
            ours=(examples,),
            theirs=(float(hand["examples"]),),
            unit="examples",
        ),
        Line(
            name="twelve trials, Tune and Trainer by hand: training, both slots together",
            ours=(training,),
            theirs=(hand["seconds"],),
            unit="s",
        ),
    ]
    outside = [2 * ours_seconds - training, 2 * theirs_seconds - hand["seconds"]]
    warm = [row.seconds for row in record.rows if row.seconds and not row.seconds["startup"]]
    rest = [s["total"] - s["training"] - s.get("evaluation", 0.0) for s in warm]
    return lines, {
        "time outside training": f"{figures(outside[0])} s (ours) and {figures(outside[1])} s "
        "(theirs), summed over both slots; includes starts, evaluation and waiting",
        "time of a warm trial of ours outside training and evaluation": (
            f"{figures(statistics.median(rest))} s (wanted: at most 2)"
        ),
    }


def main() -> None:
    parser = options("Compares twelve trials with the same trials written by hand.")
    parser.add_argument("--alone", nargs=3, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    quiet_libraries()
    if arguments.alone:
        print(json.dumps(by_hand(*arguments.alone)))
        return
    shape = Shape()
    with tempfile.TemporaryDirectory(prefix="ts-") as scratch:
        lines, facts = measure(Path(scratch), shape)
    facts = {"encoder": str(shape), "languages": ", ".join(SPOKEN), **facts}
    publish("Search by hand", lines, facts=facts, results=RESULTS if arguments.write else None)


if __name__ == "__main__":
    main()
