"""What a retrain found: the winner, its baseline and its twin over fresh seeds, on the test split.
Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any

from search.display.json_form import to_json
from search.record.reader import BASELINE, TWIN, WINNER
from search.record.registry import RegisteredModel
from search.stats.intervals import Interval, mean_interval
from search.trials.gains import SeedGain, collapsed_on, seed_gains
from search.trials.language_verdicts import LanguageVerdict, Pair, Side
from search.winner.champion import Decision
from search.winner.winners_curse import WinnersCurse
from spaces.phases import TrialPlan
from spaces.sections import SelectionRule
from trainables.scoring.outcomes import ByLanguage
from trainables.scoring.scores import Scores, TargetScores, selecting_languages


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainedSeed:
    """One seed of one role; `scores` is None if it diverged. `validation` are the winner's scores
    on validation rows. `outcomes` are the files, by target, that say what each test row got."""

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
        """Whether there is a model of this target that did not collapse, on any rows."""
        both = [scores for scores in (self.scores, self.validation) if scores is not None]
        return self.of(task) is not None and not any(collapsed_on(s, task) for s in both)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of a retrain: all runs, and the models registered. `seen` has, by target, the
    languages whose test rows are also the rows that chose the trial; `languages` says in which the
    winner is better or worse than its baseline.

    `rule` and `pivot_languages` say which validation rows choose between the seeds. `curse` is None
    where no gain was promised (curse.py says when); `decisions` say of each model whether it is
    champion now; `cautions` are what was not as in the search. `lock` is the digest of what it is
    made of.
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
        """Those that were trained, the winner first."""
        return list(dict.fromkeys(run.role for run in self.runs))

    @property
    def tasks(self) -> list[str]:
        """The targets of the plan."""
        return [target.task for target in self.runs[0].plan.targets]

    def of_role(self, role: str) -> list[RetrainedSeed]:
        """Every seed, those that diverged too."""
        return [run for run in self.runs if run.role == role]

    def scores_of(self, role: str) -> list[Scores]:
        return list(self.by_seed(role).values())

    def by_seed(self, role: str) -> dict[int | None, Scores]:
        """Seed -> scores, of those that have some."""
        return {run.seed: run.scores for run in self.of_role(role) if run.scores is not None}

    def num_diverged(self, role: str) -> int:
        return len(self.of_role(role)) - len(self.by_seed(role))

    def num_collapsed(self, role: str, task: str) -> int:
        """Seeds of which this target's phase collapsed."""
        return sum(collapsed_on(scores, task) for scores in self.scores_of(role))

    def chosen(self, task: str) -> RetrainedSeed | None:
        """The winner's seed whose model of the target is registered: the best one on validation
        rows, since test rows must not choose, among those that learned it; the first one where no
        validation row may choose. None where no seed learned it."""
        able = [run for run in self.of_role(WINNER) if run.has_learned(task)]
        return max(able, key=lambda run: self.validation_of(run, task) or 0.0, default=None)

    def validation_of(self, run: RetrainedSeed, task: str) -> float | None:
        """The target's main score over the languages whose validation rows may choose; None where
        the rule allows none."""
        found = _of_task(run.validation, task)
        if found is None:
            return None
        allowed = selecting_languages(found, self.rule, pivot_languages=self.pivot_languages)
        return fmean(found.by_language[code] for code in allowed) if allowed else None

    def called(self, task: str) -> dict[str, LanguageVerdict]:
        """Language -> verdict of one target."""
        return {v.language: v for v in self.languages if v.task == task}

    def intervals(self, role: str, task: str) -> dict[str, Interval]:
        """Language -> the task's main score over the seeds; empty without any run."""
        found = [t.by_language for run in self.of_role(role) if (t := run.of(task)) is not None]
        if not found:
            return {}
        return {
            language: mean_interval([scores[language] for scores in found]) for language in found[0]
        }

    def by_language(self, role: str, task: str) -> dict[str, float]:
        """Language -> mean over the seeds of the task's main score; empty without any run."""
        return {code: found.mean for code, found in self.intervals(role, task).items()}

    def gain(self, task: str | None = None, *, over: str = BASELINE) -> SeedGain | None:
        """Winner minus baseline, or minus its twin, of the zero-shot mean (of one target: of its
        own), over the seeds, those that collapsed among them; None where a side has no scores."""
        return seed_gains(self.by_seed(WINNER), self.by_seed(over), task)

    def summary(self) -> dict[str, Any]:
        """For the record: zero-shot means by role and seed, the gains with their intervals, what
        failed, and which seeds' models are registered."""
        tasks = self.tasks if any(self.by_seed(role) for role in self.roles) else []
        stds = {
            task: {
                role: {code: one.std for code, one in self.intervals(role, task).items()}
                for role in (WINNER, BASELINE)
            }
            for task in tasks
        }
        gain, over_twin = self.gain(), self.gain(over=TWIN)
        return {
            "seeds": list(dict.fromkeys(run.seed for run in self.runs)),
            "roles": self.roles,
            "lock": self.lock,
            "zero_shot_mean": {
                f"{run.role}/{run.seed}": run.scores.zero_shot_mean if run.scores else None
                for run in self.runs
            },
            "gain": gain and to_json(gain),
            "gains": self._gains(BASELINE),
            "gain_over_twin": over_twin and to_json(over_twin),
            "gains_over_twin": self._gains(TWIN),
            "num_diverged": {role: self.num_diverged(role) for role in self.roles},
            "num_collapsed": {
                role: {task: self.num_collapsed(role, task) for task in self.tasks}
                for role in self.roles
            },
            "chosen": {task: self._chosen(task) for task in self.tasks},
            "std": stds,
            "languages": [to_json(verdict) for verdict in self.languages],
            "seen_test_rows": {task: list(languages) for task, languages in self.seen.items()},
            "curse": asdict(self.curse)
            | {"falls_out": self.curse.falls_out, "exceeds": self.curse.exceeds}
            if self.curse
            else None,
            "cautions": list(self.cautions),
        }

    def _gains(self, over: str) -> dict[str, Any]:
        gains = {task: self.gain(task, over=over) for task in self.tasks}
        return {task: to_json(gain) for task, gain in gains.items() if gain}

    def _chosen(self, task: str) -> dict[str, Any] | None:
        if (run := self.chosen(task)) is None or (found := run.of(task)) is None:
            return None
        validation = self.validation_of(run, task)
        return {"seed": run.seed, "validation": validation, "zero_shot_mean": found.zero_shot_mean}


def judged_pairs(runs: Sequence[RetrainedSeed], read: Callable[[str], ByLanguage]) -> list[Pair]:
    """Winner and baseline of every seed that has both, as they are judged; `read` opens a file of
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
