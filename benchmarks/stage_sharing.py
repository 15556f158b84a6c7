"""Compares the examples that a study trains with and without the stage tree, by plan and in a run.

    OMP_NUM_THREADS=1 python -m benchmarks.stage_sharing [--write]

There are two ways without a tree. *Trial by trial*: each trial trains its intermediate phase and
all its targets. *Pair by pair*: each pair of an intermediate task and a target trains both phases,
as a script does that is run once per pair. The study that is run uses the pocket's rows and an
encoder with random weights. The same plans are run in one phase store, and with a separate store
for every trial or pair. The scores must be equal.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.common.measuring import RESULTS, Line, figures, options, publish, seconds_of
from benchmarks.common.small_model import TINY, write_pocket_encoder
from search.planning.plan import plan_study
from spaces.phases import Phase, TrialPlan
from spaces.study_file.study import StudySettings
from trainables.pocket.cldr import LANGUAGES
from trainables.quiet import quiet_libraries
from trainables.store.phase_store import PhaseStore
from trainables.training.context import TrialContext
from trainables.training.trial import run_trial
from trainables.training.workers import Workers

SHIPPED = ("pocket", "hub-small", "mini-paper", "xtreme", "paper")
SPOKEN = LANGUAGES[:3]


@dataclass(frozen=True, slots=True)
class Trained:
    """The number of examples that were trained, and (plan, target) -> score."""

    num_examples: int
    scores: Mapping[tuple[int, str], float]


def study(encoder: str) -> StudySettings:
    """Return a study of six trials: two intermediate tasks and none, two target learning rates,
    three targets."""
    recipe = {"num_steps": 120, "batch_size": 16, "max_length": 64}
    return StudySettings.parse(
        {
            "study": {"name": "tree", "encoder": encoder, "seed": 0, "sampler": "grid"},
            "space": {
                "intermediate": ["none", "rel", "fact"],
                "intermediate_learning_rate": [5e-4],
                "target_learning_rate": [3e-4, 1e-3],
                "targets": ["pos", "ner", "kind"],
            },
            "training": {"intermediate": recipe, "target": {**recipe, "num_steps": 40}},
            "evaluation": {"languages": list(SPOKEN[1:]), "max_rows": 50},
            "budget": {"num_trials": 6},
        }
    )


def planned(settings: StudySettings) -> tuple[int, int, int] | None:
    """Return the planned examples with the tree, trial by trial, and pair by pair; None if the
    space is infinite."""
    plan = plan_study(settings)
    if plan.examples is None or plan.examples_without_tree is None:
        return None
    space = settings.search_space()
    plans = [space.decode(point) for point in space.grid_points()]
    return plan.examples, plan.examples_without_tree, pair_by_pair(plans)


def pair_by_pair(plans: Sequence[TrialPlan]) -> int:
    """Return the examples if each pair with a target phase trains its intermediate phase again."""
    pairs = [pair for plan in plans for pair in plan.pairs if pair.target.phase is not None]
    phases = [phase for pair in pairs for phase in (pair.intermediate, pair.target.phase)]
    return sum(examples(phase) for phase in phases if phase is not None)


def examples(phase: Phase) -> int:
    return phase.recipe.num_steps * phase.recipe.batch_size


def pairs_of(plan: TrialPlan) -> list[TrialPlan]:
    """Return one plan per target of this plan."""
    return [replace(plan, targets=(target,)) for target in plan.targets]


def train(
    plans: Sequence[tuple[int, TrialPlan]], context: TrialContext, homes: Sequence[Path]
) -> Trained:
    """Run the plans, each with the store in its home; rows are tokenised once for all of them."""
    num_examples = 0
    scores = {}
    for (number, plan), home in zip(plans, homes, strict=True):
        events: list[Mapping[str, Any]] = []
        store = PhaseStore(home, owner="tree")
        result = run_trial(plan, replace(context, store=store, home=home), events.append)
        assert result is not None, events[-1]
        for target in result.targets:
            scores[number, target.task] = target.zero_shot_mean
        for event in events:
            if event["event"] == "phase" and not event["reused"]:
                num_examples += event["record"]["num_examples"]
    return Trained(num_examples, scores)


def run(folder: Path) -> list[Line]:
    settings = study(str(write_pocket_encoder(folder / "encoder", SPOKEN, TINY)))
    encoder = settings.study.encoder
    context = TrialContext.open(settings, home=folder, encoder=encoder, workers=Workers.alone())
    space = settings.search_space()
    trials = [(n, space.decode(point)) for n, point in enumerate(space.grid_points())]
    pairs = [(number, pair) for number, plan in trials for pair in pairs_of(plan)]
    train(trials[:1], context, [folder / "first"])  # tokenises the rows, for all sides

    with_tree, tree = seconds_of(lambda: train(trials, context, [folder / "tree"] * len(trials)))
    lines = []
    for name, plans, target in (("trial by trial", trials, None), ("pair by pair", pairs, 2.0)):
        homes = [folder / f"{name}-{index}" for index in range(len(plans))]
        without, separate = seconds_of(lambda: train(plans, context, homes))  # noqa: B023
        assert separate.scores == tree.scores, (separate.scores, tree.scores)
        equal = f"all {len(tree.scores)} scores, to the last digit"
        counts = (float(tree.num_examples),), (float(separate.num_examples),)
        lines += [
            line(f"tree, run, {name}: examples", *counts, "examples", target, equal),
            line(f"tree, run, {name}: time", (with_tree,), (without,), "s", None, equal),
        ]
    return lines


def by_plan() -> list[Line]:
    """Return the planned examples of the shipped studies that are grids."""
    lines = []
    for name in SHIPPED:
        counts = planned(StudySettings.load(name))
        if counts is None:
            continue
        tree, trials, pairs = (float(number) for number in counts)
        unit = "examples, planned"
        lines += [
            line(f"tree, plan of {name}, trial by trial", (tree,), (trials,), unit, None, ""),
            line(f"tree, plan of {name}, pair by pair", (tree,), (pairs,), unit, None, ""),
        ]
    return lines


def line(
    name: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    unit: str,
    target: float | None,
    equal: str,
) -> Line:
    return Line(name=name, ours=ours, theirs=theirs, unit=unit, target=target, equal=equal)


def main() -> None:
    arguments = options("Compares training with and without the stage tree.").parse_args()
    quiet_libraries()
    with tempfile.TemporaryDirectory(prefix="transfer-search-") as scratch:
        lines = [*run(Path(scratch)), *by_plan()]
    counts = planned(study("none"))
    assert counts is not None
    facts = {
        "encoder": str(TINY),
        "run": "two intermediate tasks and none, two target rates, three targets; an intermediate "
        "phase is three target phases long",
        "its plan": " / ".join(figures(number) for number in counts) + " examples",
    }
    publish("Stage tree", lines, facts=facts, results=RESULTS if arguments.write else None)


if __name__ == "__main__":
    main()
