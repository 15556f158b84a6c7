"""What a sampler draws, and what it sees of the trials so far: a throw-away study in memory.

The database keeps trials as they ended. What is drawn from is made of them anew for every draw, so
that a sampler can be shown what it needs without a trial's record saying what is not so, and so
that nothing which is drawn and not taken leaves a trace.
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
from spaces.study import StudySettings

Values = tuple[float, ...]
GENERATION = "NSGAIISampler:generation"  # Optuna's own mark on a trial
VIOLATED = 1.0  # what a failed trial is told to break every constraint by: as a collapsed one


@dataclass(frozen=True, slots=True)
class ShownTrial:
    """A trial as a sampler is to see it.

    Attributes:
        state: RUNNING, COMPLETE, PRUNED; FAIL where the plan itself failed, of which the sampler is
            to learn. What says nothing of its plan is not among what is seen.
        values: in the order of the study's objectives; none unless COMPLETE.
        rungs: rung -> value.
        generation: of `nsga2`.
    """

    params: Mapping[str, Any]
    state: TrialState
    values: Values = ()
    constraints: Mapping[str, float] | None = None
    rungs: Mapping[int, float] | None = None
    generation: int | None = None

    @classmethod
    def of(cls, frozen: FrozenTrial) -> "ShownTrial":
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
    """The params of a trial to be asked, and its generation, where the sampler has some."""

    params: Mapping[str, Any]
    generation: int | None


def draws(
    settings: StudySettings,
    *,
    index: int,
    own: Sequence[ShownTrial],
    earlier: Sequence[Sequence[ShownTrial]] = (),
    point: Mapping[str, Any] | None = None,
) -> Iterator[DrawnParams]:
    """What the sampler proposes, without end; each draw sees those before it as trials in flight.

    A function of the study's seed, the index and what is seen: a driver that is started again
    draws the same.

    Args:
        index: how many trials were asked before.
        own: the study's trials, in order.
        earlier: those of each study that this one starts from.
        point: params that are not to be drawn.
    """
    space = settings.search_space()
    with _quiet():
        study = optuna.create_study(
            directions=directions(settings), sampler=sampler_for(settings, index, point)
        )
        if settings.study.sampler == "nsga2" or (settings.study.sampler != "random" and not point):
            study.add_trials(as_shown(settings, space, own, earlier))
    while True:
        with _quiet():
            trial = study.ask()
            space.suggest(trial)
        marks = study._storage.get_trial(trial._trial_id).system_attrs
        yield DrawnParams(trial.params, marks.get(GENERATION))


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna warns of its parts that are experimental, as fixed parameters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def as_shown(
    settings: StudySettings,
    space: SearchSpace,
    own: Sequence[ShownTrial],
    earlier: Sequence[Sequence[ShownTrial]] = (),
) -> list[FrozenTrial]:
    """The trials as Optuna's samplers get them: the earlier studies' first, then this one's.

    - Every trial has every parameter of the space. Samplers model together what all trials have;
      the rate of an intermediate phase, which a baseline has no use for, they would draw without
      looking at the option. So what a trial has no use for is filled in at random. Which value it
      is says nothing; its seed is the trial's place.
    - With earlier studies the values are normal scores: within each study the rank of a trial among
      the scored ones, as a quantile of the normal distribution, each objective by itself (quantile
      transform: Salinas, Shen, Perrone, ICML 2020). So the level of a study says nothing.
    - A plan that failed has the worst value of this study's scored trials in each objective and
      breaks every constraint. Until one is scored it is left out: there is no worst.
    - `gp` and `nsga2`, which pass over pruned trials, see them as scored in the middle of the
      lowest third, where the rule of pruning found them.
    """
    toward = directions(settings)
    everything = distributions(space)
    ranks = bool(earlier)
    groups = [_scaled(one) if ranks else list(one) for one in (*earlier, own)]
    shown = [trial for group in groups[:-1] for trial in group]
    shown += _judged(groups[-1], toward, keeps_pruned=settings.study.sampler == "tpe")
    fill = _filler(settings.study.seed)
    return [_frozen(one, everything, fill, place) for place, one in enumerate(shown)]


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Every parameter that some trial of the space has, and its range."""
    found: dict[str, BaseDistribution] = {}
    for option in space.options:
        for share in space.shares.values:
            asking = _Asking({"intermediate": option, "mlm.share": share})
            space.suggest(asking)
            found |= asking.found
    return found


class _Asking:
    """Answers as it is told to, and notes what it was asked for."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self._answers = answers
        self.found: dict[str, BaseDistribution] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self.found[name] = CategoricalDistribution(choices)
        return self._answers.get(name, choices[0])

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        self.found[name] = FloatDistribution(low, high, log=log, step=step)
        return low


def _scaled(trials: Sequence[ShownTrial]) -> list[ShownTrial]:
    """With normal scores among the scored trials in the place of values."""
    scored = [one.values for one in trials if one.values]
    scores = iter(
        zip(*(_normal_scores(column) for column in zip(*scored, strict=True)), strict=True)
    )
    return [_with(one, values=next(scores)) if one.values else one for one in trials]


def _normal_scores(values: Sequence[float]) -> list[float]:
    """Equal values get the mean of their ranks."""
    found: list[float] = ndtri((rankdata(values) - 0.5) / len(values)).tolist()
    return found


def _judged(
    trials: Sequence[ShownTrial], toward: Sequence[StudyDirection], *, keeps_pruned: bool
) -> list[ShownTrial]:
    """Failed trials, and pruned ones where the sampler passes over them, with values."""
    scored = [one for one in trials if one.values]
    columns = [sorted(column) for column in zip(*(one.values for one in scored), strict=True)]
    columns = [
        column if way is StudyDirection.MAXIMIZE else column[::-1]
        for column, way in zip(columns, toward, strict=False)
    ]
    names = {name for one in scored for name in one.constraints or ()}
    shown = []
    for one in trials:
        if one.state is TrialState.FAIL:
            if scored:
                worst = tuple(column[0] for column in columns)
                broken = dict.fromkeys(sorted(names), VIOLATED)
                shown.append(_with(one, values=worst, constraints=broken))
        elif one.state is TrialState.PRUNED and not keeps_pruned:
            if scored:
                low = tuple(column[len(column) // 6] for column in columns)
                shown.append(_with(one, values=low, rungs={}))
        else:
            shown.append(one)
    return shown


def _with(one: ShownTrial, *, values: Values, **changes: Any) -> ShownTrial:
    content = {name: getattr(one, name) for name in ShownTrial.__slots__}
    return ShownTrial(**{**content, "state": TrialState.COMPLETE, "values": values, **changes})


Fill = Callable[[int, str, BaseDistribution], Any]


def _filler(seed: int) -> Fill:
    def fill(place: int, name: str, distribution: BaseDistribution) -> Any:
        number = random.Random(f"{seed}:{place}:{name}").random()
        if isinstance(distribution, CategoricalDistribution):
            return distribution.choices[int(number * len(distribution.choices))]
        assert isinstance(distribution, FloatDistribution)
        low, high = distribution.low, distribution.high
        return low * (high / low) ** number if distribution.log else low + (high - low) * number

    return fill


class _Shown(FrozenTrial):
    """Storage in memory copies what it is given to the last range, which nobody changes: of a
    thousand trials that takes longer than the draw."""

    def __deepcopy__(self, memo: object) -> "_Shown":
        return copy.copy(self)


def _frozen(
    one: ShownTrial, everything: Mapping[str, BaseDistribution], fill: Fill, place: int
) -> FrozenTrial:
    now = datetime.now()
    shown = _Shown(
        number=place,
        trial_id=place,
        state=one.state,
        value=None,
        values=list(one.values) or None,
        datetime_start=now,
        datetime_complete=now if one.state.is_finished() else None,
        params={
            name: one.params[name] if name in one.params else fill(place, name, distribution)
            for name, distribution in everything.items()
        },
        distributions=dict(everything),
        user_attrs={},
        system_attrs={} if one.generation is None else {GENERATION: one.generation},
        intermediate_values=dict(one.rungs or {}),
    )
    for name, value in (one.constraints or {}).items():
        shown.set_constraint(name, value)
    return shown
