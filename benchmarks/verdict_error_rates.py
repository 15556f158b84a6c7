"""Measures how often verdicts are wrong without a true difference, and right with one of 5 points.

    python -m benchmarks.verdict_error_rates [--home DIR] [--num-pairs 200]

Two small targets are trained with 20 seeds each, on a base that is pretrained first (about six
minutes on one core; phases are stored in the home folder, so a second run takes one minute). A null
pair compares five seeds with five other seeds of the same model, so every call of better or worse
is a false alarm. For power, 1,000 rows are drawn from the scored rows (whole groups at once), and
rows of one side are made right until its score is five points higher. So seeds and rows vary as in
real models. Prints JSON.
"""

import argparse
import json
import math
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import binomtest

from search.stats.significance import compare, holm
from spaces.study_file.study import StudySettings
from trainables.pretraining.pretrain import pretrain
from trainables.pretraining.recipe import tiny_base
from trainables.quiet import quiet_libraries
from trainables.scoring import outcomes
from trainables.scoring.groups import Groups
from trainables.scoring.outcomes import Outcomes
from trainables.training.context import TrialContext
from trainables.training.trial import run_trial
from trainables.training.workers import Workers

NUM_SEEDS, SIDE = 20, 5
NUM_ROWS, GAIN = 1000, 0.05
ALPHA = 0.05
LANGUAGES = ["de", "es"]  # languages that the base knows besides English
RATE = 5e-4
PARAMS = {"intermediate": "none", "target.learning_rate": RATE}


@dataclass(frozen=True, slots=True)
class Cell:
    """One language of one task: one array of outcomes per seed, and the groups of the rows."""

    groups: Groups | None
    seeds: list[Outcomes] = field(default_factory=list)


Rows = dict[str, dict[str, Cell]]  # task -> language
Pair = tuple[list[Outcomes], list[Outcomes], Groups | None]
Draw = Callable[[Cell, np.random.Generator], Pair]


def study(base: Path) -> StudySettings:
    recipe = {"num_steps": 300, "batch_size": 16, "max_length": 64}
    return StudySettings.parse(
        {
            "study": {"name": "verdicts", "encoder": str(base), "seed": 0, "sampler": "grid"},
            "space": {
                "intermediate": ["none", "fact"],
                "intermediate_learning_rate": [RATE],
                "target_learning_rate": [RATE],
                "targets": ["kind", "ner"],
            },
            "training": {"intermediate": recipe, "target": recipe},
            "evaluation": {"languages": LANGUAGES},
            "budget": {"num_trials": 1},
        }
    )


def train(home: Path) -> Rows:
    """Train all seeds; return the outcomes of every row of the test split for each seed."""
    base = pretrain(tiny_base(), home)
    settings = study(base)
    context = TrialContext.open(settings, home=home, encoder=str(base), workers=Workers.alone())
    plan = settings.search_space().decode(PARAMS)
    rows: Rows = {}
    for seed in range(1, NUM_SEEDS + 1):
        events: list[Mapping[str, Any]] = []
        run_trial(plan.with_seed(seed), context, events.append, split="test")
        for task, file in events[-1]["outcomes"].items():
            by_language = outcomes.read(Path(file))
            for language, array in by_language.items():
                cell = Cell(by_language.groups.get(language))
                rows.setdefault(task, {}).setdefault(language, cell).seeds.append(array)
    return rows


def null_pair(cell: Cell, rng: np.random.Generator) -> Pair:
    order, seeds = rng.permutation(len(cell.seeds)), cell.seeds
    sides = [seeds[i] for i in order[:SIDE]], [seeds[i] for i in order[SIDE : 2 * SIDE]]
    return *sides, cell.groups


def single_pair(cell: Cell, rng: np.random.Generator) -> Pair:
    first, second, groups = null_pair(cell, rng)
    return first[:1], second[:1], groups


def planted_pair(cell: Cell, rng: np.random.Generator) -> Pair:
    first, second, _ = null_pair(cell, rng)
    indices, groups = drawn(cell.groups, len(first[0]), rng)
    level = float(np.mean([outcomes.score_of(side) for side in cell.seeds]))
    lifted = [_lifted(side[indices], level, rng) for side in first]
    return lifted, [side[indices] for side in second], groups


def drawn(
    groups: Groups | None, num_rows: int, rng: np.random.Generator
) -> tuple[np.ndarray, Groups | None]:
    """Draw NUM_ROWS rows with replacement, whole groups at once; return the index and the group of
    each."""
    if groups is None:
        return rng.integers(0, num_rows, NUM_ROWS), None
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    draws = [members[i] for i in rng.integers(0, len(members), NUM_ROWS)]
    numbers = np.repeat(np.arange(len(draws)), [len(rows) for rows in draws])
    return np.concatenate(draws)[:NUM_ROWS], numbers[:NUM_ROWS]


def _lifted(side: Outcomes, level: float, rng: np.random.Generator) -> Outcomes:
    """Make rows right at random, as many as raise a score of `level` by GAIN."""
    is_lifted = rng.random(len(side)) < GAIN / (1 - level)
    right = np.ones_like(side) if side.ndim == 1 else side[:, [2, 2, 2]]
    return np.where(is_lifted if side.ndim == 1 else is_lifted[:, None], right, side)


def called(rows: Rows, draw: Draw, num_pairs: int) -> dict[str, Any]:
    """Return shares of pairs with a p value below 0.05.

    There is a share for each cell, before and after Holm's adjustment; for pairs with a call in any
    language of a target; and for pairs with a call in any language of any target, with Holm over
    each target and over all cells.
    """
    shares: dict[str, Any] = {}
    by_task: list[np.ndarray] = []
    for task, by_language in rows.items():
        before, after, gains = np.zeros((3, num_pairs, len(by_language)))
        for number in range(num_pairs):
            rng = np.random.default_rng(number)
            state = rng.bit_generator.state
            cells = []
            for cell in by_language.values():
                rng.bit_generator.state = state  # the same seeds in every language
                first, second, groups = draw(cell, rng)
                cells.append(compare(first, second, rng, groups=groups))
            before[number] = [cell.p for cell in cells]
            after[number] = holm([cell.p for cell in cells])
            gains[number] = [cell.mean for cell in cells]
        by_task.append(before)
        shares[task] = {
            "any language, before Holm": share((before < ALPHA).any(axis=1)),
            "any language": share((after < ALPHA).any(axis=1)),
            "languages": {
                language: {
                    "before Holm": share(before[:, i] < ALPHA),
                    "after": share(after[:, i] < ALPHA),
                    "mean difference": round(float(gains[:, i].mean()), 4),
                }
                for i, language in enumerate(by_language)
            },
        }
    for name, groups in (("each", by_task), ("all", [np.concatenate(by_task, axis=1)])):
        adjusted = [np.array([holm(list(row)) for row in group]) for group in groups]
        hit = np.concatenate(adjusted, axis=1) < ALPHA
        shares[f"any target, Holm over {name}"] = share(hit.any(axis=1))
    return shares


def share(hits: np.ndarray) -> dict[str, float]:
    """With its exact (Clopper-Pearson) 95 % interval."""
    interval = binomtest(int(hits.sum()), len(hits)).proportion_ci(method="exact")
    values = {"share": hits.mean(), "low": interval.low, "high": interval.high}
    return {name: round(float(value), 4) for name, value in values.items()}


def levels(rows: Rows) -> dict[str, Any]:
    """Return mean and standard deviation over the seeds, and the number of rows, of each cell."""
    by_task: dict[str, Any] = {}
    for task, by_language in rows.items():
        for language, cell in by_language.items():
            scores = [outcomes.score_of(side) for side in cell.seeds]
            mean, std = float(np.mean(scores)), float(np.std(scores, ddof=1))
            num_rows = len(cell.seeds[0])
            error = math.sqrt(mean * (1 - mean) / num_rows)
            by_task.setdefault(task, {})[language] = {
                "mean": round(mean, 4),
                "std over seeds": round(std, 4),
                "standard error of the rows": round(error, 4),
                "rows": num_rows,
                "groups": num_rows if cell.groups is None else int(cell.groups.max()) + 1,
            }
    return by_task


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures false alarms and power of the verdicts.")
    parser.add_argument("--home", type=Path)
    parser.add_argument("--num-pairs", type=int, default=200)
    arguments = parser.parse_args()
    quiet_libraries()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="transfer-search-") as scratch:
        rows = train(arguments.home or Path(scratch))
    content = {
        "levels": levels(rows),
        f"false alarms, {SIDE} seeds against {SIDE}": called(rows, null_pair, arguments.num_pairs),
        "false alarms, one seed against one": called(rows, single_pair, arguments.num_pairs),
        f"power, {GAIN} planted, {NUM_ROWS} rows": called(rows, planted_pair, arguments.num_pairs),
    }
    print(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
