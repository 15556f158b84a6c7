"""Compares TPE (alone, with priors, and with priors and pruning) with random search on the pocket,
with an equal number of trials.

    OMP_NUM_THREADS=1 python -m benchmarks.sampler_comparison [--seeds 5] [--trials 20] [--write]

All sides search the same space with the same study seed. The result of a side is the zero-shot mean
of the trial that it chose, on test rows that no search has read. All searches share one home
folder, so a phase that several of them need is trained once; this changes no score. The pocket's
base is pretrained first, unless --home names a folder that has it.
"""

import math
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.common.measuring import RESULTS, Line, options, publish, seconds_of
from search.home import Home
from search.record.address import ExperimentAddress
from search.winner.evaluate import evaluate_trial
from spaces.study_file.study_text import read_text
from trainables.quiet import quiet_libraries

RANDOM = "random"
SIDES = {
    "tpe": 'sampler = "tpe"',
    "priors": 'sampler = "tpe"\npriors = true',
    "pruner": 'sampler = "tpe"\npriors = true\npruner = "lowest_third"',
    RANDOM: 'sampler = "random"',
}
OURS = {
    "tpe": "tpe",
    "priors": "tpe and priors",
    "pruner": "tpe, priors and pruning",
}


def write_study(folder: Path, side: str, seed: int, num_trials: int) -> Path:
    """Write the shipped study with another name, sampler and seed."""
    text = read_text("pocket")
    for old, new in (
        ('name = "pocket"', f'name = "{side}-{seed}"'),
        ("seed = 17", f"seed = {seed}"),
        ('sampler = "tpe"', SIDES[side]),
        ("num_trials = 16", f"num_trials = {num_trials}"),
    ):
        assert text.count(old) == 1, f"the pocket study has no line {old!r} any more"
        text = text.replace(old, new)
    path = folder / f"{side}-{seed}.toml"
    path.write_text(text)
    return path


def chosen(home: Path, name: str) -> float:
    """Return the zero-shot mean on test rows of the trial that the search chose."""
    uri = f"sqlite:///{home / 'mlflow.db'}"
    evaluated = evaluate_trial(ExperimentAddress(uri).for_study(name), Home(home))
    return evaluated.scores.zero_shot_mean


def measure(folder: Path, home: Path, num_seeds: int, num_trials: int) -> dict[str, list[float]]:
    """Run all searches; return side -> zero-shot mean of its chosen trial, one per seed."""
    scores: dict[str, list[float]] = {side: [] for side in SIDES}
    for seed in range(num_seeds):
        # In turns, because a later side reuses the phases of earlier sides and so takes less time.
        for side in list(SIDES) if seed % 2 == 0 else list(reversed(SIDES)):
            study = write_study(folder, side, seed, num_trials)
            line = [sys.executable, "-m", "search.cli", "run", str(study), "--home", str(home)]
            spent, _ = seconds_of(lambda: run(line))  # noqa: B023
            scores[side].append(chosen(home, f"{side}-{seed}"))
            print(f"{side} seed {seed}: {scores[side][-1]:.4f} in {spent:.0f} s", flush=True)
    return scores


def run(line: list[str]) -> None:
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    parser = options("Compares TPE, also with priors and pruning, with random search.")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--home", type=Path, help="home folder that has the pocket's base")
    arguments = parser.parse_args()
    quiet_libraries()
    with tempfile.TemporaryDirectory(prefix="ts-") as scratch:
        home = arguments.home or Path(scratch) / "home"
        scores = measure(Path(scratch), home, arguments.seeds, arguments.trials)
    lines = [
        Line(
            name=f"zero-shot mean of the chosen trial: {text}, against random search",
            ours=scores[side],
            theirs=scores[RANDOM],
            unit="on test rows",
            is_rate=True,
        )
        for side, text in OURS.items()
    ]
    facts = {"searches": f"{arguments.seeds} study seeds, {arguments.trials} trials each"}
    facts |= {text: _points(scores[side], scores[RANDOM]) for side, text in OURS.items()}
    publish("Samplers", lines, facts=facts, results=RESULTS if arguments.write else None)


def _points(ours: list[float], theirs: list[float]) -> str:
    """Return the gain in points over random search, by seed and on average."""
    gains = [100 * (a - b) for a, b in zip(ours, theirs, strict=True)]
    spread = statistics.stdev(gains) if len(gains) > 1 else math.nan
    by_seed = ", ".join(f"{gain:+.2f}" for gain in gains)
    mean = f"{statistics.fmean(gains):+.2f}"
    return f"{by_seed} points, mean {mean} (standard deviation {spread:.2f})"


if __name__ == "__main__":
    main()
