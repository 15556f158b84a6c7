"""Draws params with a sampler, from a temporary study in memory that shows it the trials so far.

The database stores trials as they ended. The study in memory is rebuilt from them for every draw.
So a sampler can see changed copies of the trials (for example, a pruned trial with a value) while
the database keeps what really happened, and a rejected draw leaves no trace in it.
"""

import copy
import random
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from scipy.special import ndtri
from scipy.stats import rankdata

from search.sampling.samplers import directions, sampler_for
from spaces.space import SearchSpace
from spaces.study_file.study import StudySettings

Values = tuple[float, ...]
GENERATION = "NSGAIISampler:generation"  # Optuna's own mark on a trial
VIOLATED = 1.0  # constraint value shown for a failed trial; a collapsed trial gets the same


@dataclass(frozen=True, slots=True)
class ShownTrial:
    """A trial as a sampler sees it.

    Attributes:
        state: RUNNING, COMPLETE or PRUNED; FAIL if the plan itself failed, because the sampler
            should learn from that. Trials that failed for another reason are not shown at all.
        values: one per objective, in the study's order; empty unless COMPLETE.
        constraints: name -> value; 0 or less is satisfied.
        rungs: rung -> reported value.
        generation: the trial's generation under `nsga2`; None under other samplers.
    """

    params: Mapping[str, Any]
    state: TrialState
    values: Values = ()
    constraints: Mapping[str, float] | None = None
    rungs: Mapping[int, float] | None = None
    generation: int | None = None

    @classmethod
    def from_frozen(cls, frozen: FrozenTrial) -> "ShownTrial":
        """Convert a trial of the database without changing it."""
        return cls(
            params=frozen.params,
            state=frozen.state,
            values=tuple(frozen.values) if frozen.state is TrialState.COMPLETE else (),
            constraints=frozen.constraints,
            rungs=frozen.intermediate_values,
            generation=frozen.system_attrs.get(GENERATION),
        )


@dataclass(frozen=True, slots=True)
class DrawnParams:
    """The params of the next trial, and its generation if the sampler has generations."""

    params: Mapping[str, Any]
    generation: int | None


def draws(
    settings: StudySettings,
    *,
    index: int,
    study_trials: Sequence[ShownTrial],
    earlier: Sequence[Sequence[ShownTrial]] = (),
    point: Mapping[str, Any] | None = None,
) -> Iterator[DrawnParams]:
    """Yield the sampler's proposals without end; each draw sees earlier draws as running trials.

    The proposals depend only on the study's seed, the index and the trials shown, so a restarted
    driver draws the same.

    Args:
        index: number of trials asked before.
        study_trials: trials of this study, in order.
        earlier: trials of each study that this one starts from.
        point: params with fixed values, which are not drawn.
    """
    space = settings.search_space()
    with _quiet():
        study = optuna.create_study(
            directions=directions(settings), sampler=sampler_for(settings, index, point)
        )
        if settings.study.sampler == "nsga2" or (settings.study.sampler != "random" and not point):
            study.add_trials(as_shown(settings, space, study_trials, earlier))
    while True:
        with _quiet():
            trial = study.ask()
            space.suggest(trial)
        marks = study._storage.get_trial(trial._trial_id).system_attrs
        yield DrawnParams(trial.params, marks.get(GENERATION))


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide Optuna's warnings about its experimental features, such as fixed parameters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def as_shown(
    settings: StudySettings,
    space: SearchSpace,
    study_trials: Sequence[ShownTrial],
    earlier: Sequence[Sequence[ShownTrial]] = (),
) -> list[FrozenTrial]:
    """Return the trials as Optuna's samplers see them: earlier studies first, then this study.

    - Every trial has every parameter of the space. Samplers model only parameters that all trials
      have jointly; they would draw the learning rate of an intermediate phase, which a baseline
      lacks, independently of the option. So parameters that a trial lacks are filled in with
      random values, seeded by the trial's index. These values carry no information.
    - With earlier studies, values are replaced by normal scores: within each study and for each
      objective, the rank of a trial among the scored ones, as a quantile of the normal
      distribution (quantile transform: Salinas, Shen, Perrone, ICML 2020). So the level of a
      study's scores does not matter.
    - A failed plan gets the worst value of this study's scored trials in each objective and
      violates every constraint. While no trial is scored there is no worst value, and failed
      plans are left out.
    - `gp` and `nsga2` ignore pruned trials, so these are shown to them as scored in the middle of
      the lowest third, where the pruning rule found them.
    """
    all_distributions = distributions(space)
    uses_ranks = bool(earlier)
    studies = [
        _rank_scaled(trials) if uses_ranks else list(trials) for trials in (*earlier, study_trials)
    ]
    shown = [trial for trials in studies[:-1] for trial in trials]
    shown += _with_imputed_values(
        studies[-1], directions(settings), keeps_pruned=settings.study.sampler == "tpe"
    )
    fill = _filler(settings.study.seed)
    return [_frozen(trial, all_distributions, fill, index) for index, trial in enumerate(shown)]


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Return every parameter that at least one trial of the space has, with its distribution."""
    by_name: dict[str, BaseDistribution] = {}
    for option in space.options:
        for share in space.shares.values:
            recorder = _DistributionRecorder({"intermediate": option, "mlm.share": share})
            space.suggest(recorder)
            by_name |= recorder.distributions
    return by_name


class _DistributionRecorder:
    """Stands in for an Optuna trial: returns fixed answers and records the distributions."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self._answers = answers
        self.distributions: dict[str, BaseDistribution] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self.distributions[name] = CategoricalDistribution(choices)
        return self._answers.get(name, choices[0])

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        self.distributions[name] = FloatDistribution(low, high, log=log, step=step)
        return low


def _rank_scaled(trials: Sequence[ShownTrial]) -> list[ShownTrial]:
    """Replace the values of scored trials by their normal scores."""
    scored = [trial.values for trial in trials if trial.values]
    scores = iter(
        zip(*(_normal_scores(column) for column in zip(*scored, strict=True)), strict=True)
    )
    return [_completed(trial, values=next(scores)) if trial.values else trial for trial in trials]


def _normal_scores(values: Sequence[float]) -> list[float]:
    """Return each value's rank as a normal quantile; equal values share the mean of their ranks."""
    scores: list[float] = ndtri((rankdata(values) - 0.5) / len(values)).tolist()
    return scores


def _with_imputed_values(
    trials: Sequence[ShownTrial], toward: Sequence[StudyDirection], *, keeps_pruned: bool
) -> list[ShownTrial]:
    """Give values to failed trials, and to pruned ones unless the sampler uses them as they are."""
    scored = [trial for trial in trials if trial.values]
    columns = [sorted(column) for column in zip(*(trial.values for trial in scored), strict=True)]
    columns = [
        column if direction is StudyDirection.MAXIMIZE else column[::-1]
        for column, direction in zip(columns, toward, strict=False)
    ]
    names = {name for trial in scored for name in trial.constraints or ()}
    shown = []
    for trial in trials:
        if trial.state is TrialState.FAIL:
            if scored:
                worst = tuple(column[0] for column in columns)
                violated = dict.fromkeys(sorted(names), VIOLATED)
                shown.append(_completed(trial, values=worst, constraints=violated))
        elif trial.state is TrialState.PRUNED and not keeps_pruned:
            if scored:
                low = tuple(column[len(column) // 6] for column in columns)
                shown.append(_completed(trial, values=low, rungs={}))
        else:
            shown.append(trial)
    return shown


def _completed(trial: ShownTrial, *, values: Values, **changes: Any) -> ShownTrial:
    """Copy a trial as COMPLETE, with these values and changes."""
    content = {name: getattr(trial, name) for name in ShownTrial.__slots__}
    return ShownTrial(**{**content, "state": TrialState.COMPLETE, "values": values, **changes})


Fill = Callable[[int, str, BaseDistribution], Any]


def _filler(seed: int) -> Fill:
    """Return the function that draws a value for a parameter that a trial lacks."""

    def fill(index: int, name: str, distribution: BaseDistribution) -> Any:
        number = random.Random(f"{seed}:{index}:{name}").random()
        if isinstance(distribution, CategoricalDistribution):
            return distribution.choices[int(number * len(distribution.choices))]
        assert isinstance(distribution, FloatDistribution)
        low, high = distribution.low, distribution.high
        return low * (high / low) ** number if distribution.log else low + (high - low) * number

    return fill


class _Shown(FrozenTrial):
    """A frozen trial with a shallow deep copy.

    Optuna's storage in memory copies every trial deeply, distributions included. Nothing changes
    these, and copying a thousand trials takes longer than the draw.
    """

    def __deepcopy__(self, memo: object) -> "_Shown":
        return copy.copy(self)


def _frozen(
    trial: ShownTrial, all_distributions: Mapping[str, BaseDistribution], fill: Fill, index: int
) -> FrozenTrial:
    now = datetime.now()
    shown = _Shown(
        number=index,
        trial_id=index,
        state=trial.state,
        value=None,
        values=list(trial.values) or None,
        datetime_start=now,  # samplers ignore the times, but a frozen trial needs them
        datetime_complete=now if trial.state.is_finished() else None,
        params={
            name: trial.params[name] if name in trial.params else fill(index, name, distribution)
            for name, distribution in all_distributions.items()
        },
        distributions=dict(all_distributions),
        user_attrs={},
        system_attrs={} if trial.generation is None else {GENERATION: trial.generation},
        intermediate_values=dict(trial.rungs or {}),
    )
    for name, value in (trial.constraints or {}).items():
        shown.set_constraint(name, value)
    return shown
