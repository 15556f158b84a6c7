"""The result of a retrain: the winner, its baseline and its twin over fresh seeds, on the test
split. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from search.record.reader import BASELINE, TWIN, WINNER
from search.record.registry import RegisteredModel
from search.stats.intervals import Interval, mean_interval
from search.trials.gains import SeedGain, collapsed_on, seed_gains
from search.trials.language_verdicts import LanguageVerdict, Pair, Side
from search.winner.champion import Decision
from search.winner.winners_curse import WinnersCurse
from spaces.phases import TrialPlan
from spaces.study_file.sections import SelectionRule
from trainables.scoring.outcomes import ByLanguage
from trainables.scoring.scores import Scores, TargetScores, selecting_languages


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainedSeed:
    """One seed of one role; `scores` is None if it diverged. `validation` has the winner's scores
    on validation rows. `outcomes` names, by target, the file with the outcome of each test row."""

    role: str
    seed: int
    plan: TrialPlan
    scores: Scores | None
    phase_keys: tuple[str, ...]
    validation: Scores | None = None
    outcomes: Mapping[str, str] = field(default_factory=dict)

    def of(self, task: str) -> TargetScores | None:
        """The test scores of one target."""
        return _of_task(self.scores, task)

    def has_learned(self, task: str) -> bool:
        """Whether there is a model of this target that collapsed neither on test rows nor on
        validation rows."""
        both = [scores for scores in (self.scores, self.validation) if scores is not None]
        return self.of(task) is not None and not any(collapsed_on(s, task) for s in both)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The result of a retrain: all runs, and the registered models. `seen` has, by target, the
    languages whose test rows also chose the trial; `languages` says in which languages the winner
    is better or worse than its baseline.

    `rule` and `pivot_languages` say which validation rows choose between the seeds. `curse` is None
    if no gain was promised (winners_curse.py says when). `decisions` say for each model whether it
    is now the champion; `cautions` name what differs from the search. `lock` is the digest of the
    plans, the data and the scoring.
    """

    study: str
    trial: int
    runs: tuple[RetrainedSeed, ...]
    models: tuple[RegisteredModel, ...]
    seen: Mapping[str, Sequence[str]] = field(default_factory=dict)
    languages: tuple[LanguageVerdict, ...] = ()
    curse: WinnersCurse | None = None
    decisions: tuple[Decision, ...] = ()
    cautions: tuple[str, ...] = ()
    rule: SelectionRule = SelectionRule.TARGET_DEV
    pivot_languages: tuple[str, ...] = ()
    lock: str = ""

    @property
    def roles(self) -> list[str]:
        """The roles that were trained, the winner first."""
        return list(dict.fromkeys(run.role for run in self.runs))

    @property
    def tasks(self) -> list[str]:
        """The targets of the plan."""
        return [target.task.name for target in self.runs[0].plan.targets]

    @property
    def scored_tasks(self) -> list[str]:
        """The targets, if any seed of the winner or of the baseline has scores; else none."""
        return self.tasks if self.by_seed(WINNER) or self.by_seed(BASELINE) else []

    def of_role(self, role: str) -> list[RetrainedSeed]:
        """Every seed of a role, including those that diverged."""
        return [run for run in self.runs if run.role == role]

    def scores_of(self, role: str) -> list[Scores]:
        """The test scores of a role's seeds, without those that diverged."""
        return list(self.by_seed(role).values())

    def by_seed(self, role: str) -> dict[int | None, Scores]:
        """Seed -> test scores, without the seeds that diverged."""
        return {run.seed: run.scores for run in self.of_role(role) if run.scores is not None}

    def num_diverged(self, role: str) -> int:
        """How many seeds of a role diverged."""
        return len(self.of_role(role)) - len(self.by_seed(role))

    def num_collapsed(self, role: str, task: str) -> int:
        """How many seeds of a role collapsed on this target."""
        return sum(collapsed_on(scores, task) for scores in self.scores_of(role))

    def chosen(self, task: str) -> RetrainedSeed | None:
        """The winner's seed whose model of the target is registered: of the seeds that learned the
        target, the best one on validation rows, since test rows must not choose; the first one if
        the rule lets no validation row choose. None if no seed learned the target."""
        learned = [run for run in self.of_role(WINNER) if run.has_learned(task)]
        return max(learned, key=lambda run: self.validation_of(run, task) or 0.0, default=None)

    def validation_of(self, run: RetrainedSeed, task: str) -> float | None:
        """The mean of the target's main score over the languages whose validation rows may choose;
        None if the rule allows none."""
        scores = _of_task(run.validation, task)
        if scores is None:
            return None
        allowed = selecting_languages(scores, self.rule, pivot_languages=self.pivot_languages)
        return fmean(scores.by_language[code] for code in allowed) if allowed else None

    def called(self, task: str) -> dict[str, LanguageVerdict]:
        """Language -> verdict, for one target."""
        return {verdict.language: verdict for verdict in self.languages if verdict.task == task}

    def intervals(self, role: str, task: str) -> dict[str, Interval]:
        """Language -> the task's main score over the seeds; empty if no seed has scores."""
        targets = [target for run in self.of_role(role) if (target := run.of(task)) is not None]
        languages = targets[0].by_language if targets else ()
        return {
            language: mean_interval([target.by_language[language] for target in targets])
            for language in languages
        }

    def by_language(self, role: str, task: str) -> dict[str, float]:
        """Language -> mean over the seeds of the task's main score; empty if no seed has scores."""
        return {code: interval.mean for code, interval in self.intervals(role, task).items()}

    def gain(self, task: str | None = None, *, over: str = BASELINE) -> SeedGain | None:
        """The winner's zero-shot mean minus that of the baseline (or of the twin), over all seeds
        that have scores, including those that collapsed; with a `task`, the zero-shot mean of that
        target. None if one side has no scores."""
        return seed_gains(self.by_seed(WINNER), self.by_seed(over), task)


def judged_pairs(runs: Sequence[RetrainedSeed], read: Callable[[str], ByLanguage]) -> list[Pair]:
    """The winner and the baseline of every seed that has scores of both; `read` opens a file of
    outcomes."""
    sides = {
        (run.role, run.seed): Side(run.scores, {t: read(f) for t, f in run.outcomes.items()})
        for run in runs
        if run.scores is not None and run.role != TWIN
    }
    seeds = [seed for role, seed in sides if role == WINNER and (BASELINE, seed) in sides]
    return [(sides[WINNER, seed], sides[BASELINE, seed]) for seed in seeds]


def _of_task(scores: Scores | None, task: str) -> TargetScores | None:
    return next((t for t in scores.targets if t.task == task), None) if scores else None
