"""What a retrain found: the winner and its baseline over fresh seeds, on the test split. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from search.answers import between, meaning, seen_rows, spread
from search.champion import Decision
from search.curse import Curse
from search.intervals import Interval, mean_interval, paired_difference
from search.judging import LanguageVerdict, Pair, Side
from search.registry import RegisteredModel
from spaces.phases import TrialPlan
from spaces.tasks import get_task
from trainables.outcomes import ByLanguage
from trainables.scores import Scores

WINNER, BASELINE = "winner", "baseline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrained:
    """One seed of the winner or of its baseline; `scores` is None if it diverged. `outcomes` are
    the files, by target, that say what each row got."""

    role: str
    seed: int
    plan: TrialPlan
    scores: Scores | None
    phase_keys: tuple[str, ...]
    outcomes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of a retrain: all runs, and the models registered. `seen` has, by target, the
    languages whose test rows are also the rows that chose the trial; `languages` says in which the
    winner is better or worse.

    `curse` is None where no seed of the winner has a score; `decisions` say of each model whether
    it is champion now; `cautions` are what was not as in the search.
    """

    study: str
    trial: int
    runs: tuple[Retrained, ...]
    models: tuple[RegisteredModel, ...]
    seen: Mapping[str, Sequence[str]] = field(default_factory=dict)
    languages: tuple[LanguageVerdict, ...] = ()
    curse: Curse | None = None
    decisions: tuple[Decision, ...] = ()
    cautions: tuple[str, ...] = ()

    def scores_of(self, role: str) -> list[Scores]:
        return [run.scores for run in self.runs if run.role == role and run.scores is not None]

    def card(self, task: str) -> str:
        """The model card of one target: what it is, and its test scores beside the baseline's."""
        plan = self.runs[0].plan
        lines = [
            f"# {self.study}-{task}",
            "",
            f"Task `{task}`, trained in {get_task(task).source_language}; intermediate training: "
            f"{plan.intermediate.mixture if plan.intermediate else 'none'}. Trial {self.trial} of "
            f"study `{self.study}`, trained again with {len(self.scores_of(WINNER))} fresh seeds; "
            "this model is the first of them. Test split, main metric, means over the seeds with "
            "their standard deviation:",
            "",
            "| language | winner | baseline | difference, 95 % interval | verdict |",
            "|---|---|---|---|---|",
        ]
        columns = [self.intervals(role, task) for role in (WINNER, BASELINE)]
        called = self.called(task)
        for language, value in columns[0].items():
            cell = called.get(language)
            told = [between(cell), cell["call"]] if cell else ["", ""]
            cells = [language, spread(value), spread(columns[1].get(language)), *told]
            lines.append(f"| {' | '.join(cells)} |")
        lines += [f"\n{sentence}" for sentence in meaning(list(called.values()))]
        seen = {task: self.seen[task]} if task in self.seen else {}
        lines += [f"\n{sentence}" for sentence in seen_rows(seen)]
        return "\n".join([*lines, ""])

    def called(self, task: str) -> dict[str, dict[str, Any]]:
        """Language -> verdict of one target, as JSON values."""
        return {v.language: v.to_dict() for v in self.languages if v.task == task}

    def intervals(self, role: str, task: str) -> dict[str, Interval]:
        """Language -> the task's main score over the seeds; empty without any run."""
        found = [t.by_language for s in self.scores_of(role) for t in s.targets if t.task == task]
        if not found:
            return {}
        return {
            language: mean_interval([scores[language] for scores in found]) for language in found[0]
        }

    def by_language(self, role: str, task: str) -> dict[str, float]:
        """Language -> mean over the seeds of the task's main score; empty without any run."""
        return {code: found.mean for code, found in self.intervals(role, task).items()}

    def gain(self, task: str | None = None) -> Interval | None:
        """Winner minus baseline of the zero-shot mean (of one target: of its own), over the seeds
        that have both; None if no seed has."""
        means = {
            (run.role, run.seed): _zero_shot_mean(run.scores, task)
            for run in self.runs
            if run.scores is not None
        }
        seeds = [s for role, s in means if role == WINNER and (BASELINE, s) in means]
        if not seeds:
            return None
        winner, baseline = ([means[role, s] for s in seeds] for role in (WINNER, BASELINE))
        return paired_difference(winner, baseline)

    @property
    def tasks(self) -> list[str]:
        """The targets that were scored."""
        scored = self.scores_of(WINNER) or self.scores_of(BASELINE)
        return [target.task for target in scored[0].targets] if scored else []

    def summary(self) -> dict[str, Any]:
        """For the record: zero-shot means by role and seed, and the gains with their intervals."""
        means = {
            f"{run.role}/{run.seed}": run.scores.zero_shot_mean if run.scores else None
            for run in self.runs
        }
        gains = {task: self.gain(task) for task in self.tasks}
        overall = self.gain()
        spreads = {
            task: {role: self.intervals(role, task) for role in (WINNER, BASELINE)}
            for task in self.tasks
        }
        return {
            "zero_shot_mean": means,
            "gain": asdict(overall) if overall else None,
            "gains": {task: asdict(gain) for task, gain in gains.items() if gain},
            "std": {
                task: {r: {code: one.std for code, one in found.items()} for r, found in by.items()}
                for task, by in spreads.items()
            },
            "languages": [verdict.to_dict() for verdict in self.languages],
            "seen_test_rows": {task: list(languages) for task, languages in self.seen.items()},
            "curse": asdict(self.curse) | {"falls_out": self.curse.falls_out}
            if self.curse
            else None,
            "cautions": list(self.cautions),
        }


def judged_pairs(runs: Sequence[Retrained], read: Callable[[str], ByLanguage]) -> list[Pair]:
    """Winner and baseline of every seed that has both, as they are judged; `read` opens a file of
    outcomes."""
    sides = {
        (run.role, run.seed): Side(run.scores, {t: read(f) for t, f in run.outcomes.items()})
        for run in runs
        if run.scores is not None
    }
    seeds = [seed for role, seed in sides if role == WINNER and (BASELINE, seed) in sides]
    return [(sides[WINNER, seed], sides[BASELINE, seed]) for seed in seeds]


def _zero_shot_mean(scores: Scores, task: str | None) -> float:
    if task is None:
        return scores.zero_shot_mean
    return next(target.zero_shot_mean for target in scores.targets if target.task == task)
