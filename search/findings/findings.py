"""The findings of a study as values: the content of every form of the report.

Scores and gains are in [0, 1] and [-1, 1]. The sentence below each field is its description in the
JSON Schema of `report --json`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import JsonValue

from search.degradation.findings import Degradation
from search.degradation.paired_scores import RetrainFinding
from search.display.number_format import rate
from search.planning.priors import Hindsight
from search.trials.gains import GainTable, SeedGain
from search.trials.language_verdicts import LanguageVerdict
from search.trials.learning_rates import FlatIntermediate, HalvedTrial, RateCollapse
from search.trials.ranking import TrialState
from spaces.study_file.sections import Objective, SelectionRule
from trainables.scoring.scores import Mark, ScoringProtocol


class WorstLanguage(NamedTuple):
    """The lowest zero-shot score of the objective targets: [task, language, score in [0, 1]]."""

    task: str
    language: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """The learning rates of a trial."""

    intermediate: float | None
    """The learning rate of the intermediate phase; null for a baseline."""
    target: tuple[float, ...]
    """The different learning rates of the target phases, in ascending order."""

    def __str__(self) -> str:
        """`1e-3 → 2e-5`: the intermediate phase's, then those of the target phases."""
        of_targets = ", ".join(map(rate, self.target))
        first = self.intermediate
        return of_targets if first is None else f"{rate(first)} → {of_targets}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialFinding:
    """One trial: its plan, how it ended, and what it scored."""

    number: int
    """The number of the trial."""
    name: str
    """The plan in words: mixtures and learning rates."""
    state: TrialState
    """Whether the trial runs, was scored, or ended without a score."""
    params: Mapping[str, JsonValue]
    """Param of the search space -> the value that the trial tried."""
    intermediate: str | None
    """The intermediate mixture, in full; null for a baseline."""
    label: str
    """The intermediate mixture in short, or `baseline`."""
    rates: Rates
    """The learning rates of its phases."""
    objective: float | None
    """The value that ranks the trial; null where it was not scored. With several objectives the
    first one ranks."""
    values: Mapping[str, float]
    """Objective -> its value: a score, a difference of scores, or hours; empty where the study
    names no objectives."""
    largest_drop: float | None
    """How far the trial falls under its baseline in the language where it falls most, in [-1, 1];
    null where the study sets no `max_drop`."""
    is_feasible: bool | None
    """Whether the trial may win under `max_drop`; null where the study sets none."""
    zero_shot_mean: float | None
    """The mean score over the objective targets without their source languages, in [0, 1]."""
    transfer_gap: float | None
    """The mean source score minus the zero-shot mean, in [-1, 1]."""
    transfer_gain: float | None
    """The zero-shot mean minus that of the best baseline, in [-1, 1]."""
    paired_gain: float | None
    """The zero-shot mean minus that of the baseline with the same target phases and seed, in
    [-1, 1]; null for a baseline, or without such a baseline."""
    worst_language: WorstLanguage | None
    """The lowest zero-shot score: [task, language, score]; null where the trial was not scored."""
    collapsed: bool
    """Whether all objective targets collapsed."""
    collapsed_targets: tuple[str, ...]
    """The objective targets that collapsed."""
    marks: Mapping[str, Mark]
    """Target -> the mark that limits its scores; only targets with one."""
    reason: str | None
    """Why the trial ended without a score, in words."""
    duplicate_of: int | None
    """The number of the equal trial whose score this one got."""
    scores: Mapping[str, Mapping[str, float]]
    """Target -> language -> main score, in [0, 1]."""
    task_scores: Mapping[str, float]
    """Target -> its score as XTREME counts it, over all its languages, in [0, 1]."""
    averages: Mapping[str, float]
    """XTREME average -> its value, in [0, 1]; only averages all of whose tasks were scored."""
    source_languages: Mapping[str, str]
    """Target -> its source language."""
    seconds: Mapping[str, float] | None
    """Part of the trial's wall time -> its seconds; `total` includes all parts, `gpu` is in
    GPU-seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherRule:
    """The trial that another selection rule would have chosen."""

    rule: SelectionRule
    """The other rule."""
    number: int
    """The number of the trial that it would choose."""
    name: str
    """The plan of that trial in words."""
    zero_shot_mean: float | None
    """The zero-shot mean of that plan over its seeds, in [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The selection rule of the study, and what it reads."""

    rule: SelectionRule
    """The rule that chooses between trials."""
    pivot_languages: tuple[str, ...]
    """The languages that the rule `pivot_dev` reads."""
    left_out: tuple[str, ...]
    """The objective targets in which the rule finds no rows: they do not affect the selection."""
    seen_test_rows: Mapping[str, list[str]]
    """Target -> the languages whose test rows also chose the best trial."""
    other_rules: tuple[OtherRule, ...]
    """What each other rule would have chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParetoEntry:
    """A trial of the Pareto set."""

    number: int
    """The number of the trial."""
    name: str
    """The plan in words."""
    values: Mapping[str, float]
    """Objective -> its value: a score, a difference of scores, or hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageCell:
    """One target in one language: the best plan beside the best baseline, means over the seeds."""

    task: str
    """The target."""
    language: str
    """The language."""
    is_source: bool
    """Whether this is the target's source language."""
    num_rows: int | None
    """How many rows were scored."""
    num_truncated: int
    """How many of these rows lost tokens to `max_length`."""
    best: float
    """The main score of the best plan, in [0, 1]."""
    baseline: float | None
    """The main score of the best baseline, in [0, 1]; null where the best plan is the baseline."""
    difference: float | None
    """`best` minus `baseline`, in [-1, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntermediateSummary:
    """One intermediate mixture over all its scored trials."""

    intermediate: str | None
    """The intermediate mixture, in full; null for the baselines."""
    label: str
    """The intermediate mixture in short, or `baseline`."""
    num_trials: int
    """How many scored trials it has."""
    mean: float
    """The mean of their zero-shot means, in [0, 1]."""
    low: float
    """The lowest zero-shot mean, in [0, 1]."""
    high: float
    """The highest zero-shot mean, in [0, 1]."""
    collapsed: Mapping[str, int]
    """Target -> how many of the trials collapsed on it; only targets with some."""
    paired_gains: tuple[float, ...]
    """The paired gain of each trial that has one, in [-1, 1]."""
    num_spoilt_pairs: int
    """How many of these pairs have a target that collapsed on either side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseUse:
    """Phases that were trained, used and reused."""

    trained: int
    """How many phases were trained."""
    used: int
    """How many phases the scored trials used, each trial counted."""
    reused: int
    """How many of these an earlier trial had used before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a study found. `docs/reference/report-json.md` explains each part."""

    study: str
    """The name of the study."""
    state: str
    """`finished`, or `running` until the driver closed the study."""
    digest: str
    """The digest of the settings that decide results."""
    selection: Selection
    """The selection rule, and what it reads."""
    baseline: TrialFinding | None
    """The best trial without an intermediate phase; null until one is scored."""
    best: TrialFinding | None
    """The best trial; null until one is scored."""
    best_mean: float | None
    """The zero-shot mean of the best plan over its seeds, in [0, 1]."""
    baseline_mean: float | None
    """The zero-shot mean of the best baseline over its seeds, in [0, 1]."""
    gain: SeedGain | None
    """The zero-shot mean of the best plan with an intermediate phase minus that of the best
    baseline; null where the study lacks one of them."""
    languages: tuple[LanguageCell, ...]
    """The best plan beside the best baseline: one cell for each target and language."""
    objective_targets: tuple[str, ...] = ()
    """The targets whose zero-shot languages make the zero-shot mean; empty until one trial is
    scored."""
    ranked: tuple[int, ...]
    """The numbers of the scored trials, the best first."""
    objectives: tuple[Objective, ...]
    """The objectives that the study names; empty where the zero-shot mean alone counts."""
    pareto: tuple[ParetoEntry, ...]
    """The Pareto set of several objectives, the best in the first one first."""
    max_drop: float | None
    """How far a language may fall under its baseline, in [0, 1); null without such a limit."""
    trials: tuple[TrialFinding, ...]
    """Every trial, by number."""
    verdicts: tuple[LanguageVerdict, ...]
    """The best trial against the best baseline on the rows that chose it, by target and language,
    as judged when the study ended; empty where another trial is the best now."""
    unscored_languages: Mapping[str, list[str]]
    """Target -> the languages that the study asks for and in which no trial has scores."""
    intermediates: tuple[IntermediateSummary, ...]
    """Each intermediate mixture over all its trials, the best mean first."""
    gains: GainTable
    """What each intermediate adds to the best baseline, by target, in task scores."""
    degradation: Degradation
    """Where transfer is lost: gaps by language, and how they grow with distance."""
    priors: Hindsight | None
    """The priors beside the scores of the trials; null where the study had none."""
    learning_rates: Mapping[str, tuple[RateCollapse, ...]]
    """Role of a phase, `intermediate` or `target` -> how much collapsed at each learning rate."""
    flat_intermediates: tuple[FlatIntermediate, ...]
    """Intermediate phases whose loss did not fall."""
    half_rates: tuple[HalvedTrial, ...]
    """Scored trials with phases that diverged and were trained again at half their rate."""
    protocol: Mapping[str, ScoringProtocol]
    """Target -> the protocol that its scores were made under."""
    protocol_differences: Mapping[str, list[str]]
    """Target -> the fields of its protocol that differ between trials: such scores do not compare.
    Only with `--force`."""
    overhead_seconds: float | None
    """The median seconds of a warm scored trial that were neither training nor evaluation."""
    seconds: Mapping[str, float]
    """Part of the wall time -> its seconds over all trials; `gpu` is in GPU-seconds."""
    phases: PhaseUse
    """How phases were shared between trials."""
    retrains: tuple[RetrainFinding, ...]
    """Each retrain on the test split with fresh seeds."""
    summary: Mapping[str, JsonValue]
    """The summary as it was stored when the study ended; empty before."""
    warnings: tuple[str, ...]
    """The warnings that were given before the search."""

    @property
    def ranked_trials(self) -> list[TrialFinding]:
        """The scored trials, the best first."""
        by_number = {trial.number: trial for trial in self.trials}
        return [by_number[number] for number in self.ranked]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(Findings):
    """The JSON object of `report --json`: what a study found, and sentences that sum it up."""

    answer: tuple[str, ...]
    """The findings in sentences: the answer first, then what to be careful about."""
