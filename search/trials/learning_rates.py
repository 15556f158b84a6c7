"""Learning rates at which phases collapsed, did not learn, or diverged. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from search.trials.ranking import PhaseRow, TrialRow, TrialState, collapsed_targets
from spaces.phases import rate_name

_MAX_RATES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class RateCollapse:
    """How much collapsed at one learning rate."""

    rate: float
    """The learning rate; of many rates drawn from a range, rounded to its first digit."""
    num: int
    """How many target phases, or trials with an intermediate phase, had this rate."""
    collapsed: float
    """The share of these that collapsed, in [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatIntermediate:
    """An intermediate phase whose loss did not fall: it taught nothing."""

    label: str
    """The intermediate mixture, in short."""
    learning_rate: float
    """The learning rate of the phase."""
    trials: tuple[int, ...]
    """The numbers of the trials that started from it, of all seeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HalvedTrial:
    """A scored trial with a phase that diverged and was trained again at half its rate."""

    number: int
    """The number of the trial."""
    phases: tuple[str, ...]
    """These phases in words: `fact at 1e-04 (planned 2e-04)`."""


def learning_rates(rows: Sequence[TrialRow]) -> dict[str, tuple[RateCollapse, ...]]:
    """How much collapsed at each learning rate, by the role of the phase: target phases are
    counted themselves, intermediate phases by the trials in which some target collapsed."""
    counts: dict[str, dict[float, list[bool]]] = {"intermediate": {}, "target": {}}
    for row in rows:
        lost = collapsed_targets(row)
        if row.plan.intermediate:
            rate = row.plan.intermediate.learning_rate
            counts["intermediate"].setdefault(rate, []).append(bool(lost))
        of_interest = [t.task for t in row.scores.objective_targets] if row.scores else []
        for target in row.plan.targets:
            if target.phase and target.task.name in of_interest:
                marks = counts["target"].setdefault(target.phase.learning_rate, [])
                marks.append(target.task.name in lost)
    return {
        role: tuple(
            RateCollapse(rate=rate, num=len(marks), collapsed=sum(marks) / len(marks))
            for rate, marks in sorted(_rounded(by_rate).items())
        )
        for role, by_rate in counts.items()
    }


def flat_intermediates(
    rows: Sequence[TrialRow], phases: Sequence[PhaseRow]
) -> tuple[FlatIntermediate, ...]:
    """Intermediate phases whose loss did not fall, with the trials that started from them. Targets
    may well learn after such a phase; the gain is then not one of its task."""
    flat = {phase.key for phase in phases if not phase.loss_fell}
    trials: dict[tuple[str, float], list[int]] = defaultdict(list)
    for row in rows:
        intermediate = row.plan.intermediate
        if intermediate and row.phase_keys and row.phase_keys[0] in flat:
            trials[intermediate.mixture.short, intermediate.learning_rate].append(row.number)
    return tuple(
        FlatIntermediate(label=label, learning_rate=rate, trials=tuple(numbers))
        for (label, rate), numbers in trials.items()
    )


def _rounded(by_rate: dict[float, list[bool]]) -> dict[float, list[bool]]:
    """Rates drawn from a range, grouped by their first digit; those of a grid stay as they are."""
    if len(by_rate) <= _MAX_RATES:
        return by_rate
    together: dict[float, list[bool]] = defaultdict(list)
    for rate, marks in by_rate.items():
        together[float(f"{rate:.0e}")] += marks
    return together


def half_rates(rows: Sequence[TrialRow], phases: Sequence[PhaseRow]) -> tuple[HalvedTrial, ...]:
    """Scored trials with a phase that diverged at its rate and was trained at half of it."""
    scored = [row for row in rows if row.state is TrialState.SCORED]
    trials = (HalvedTrial(number=row.number, phases=halved(row, phases)) for row in scored)
    return tuple(trial for trial in trials if trial.phases)


def halved(row: TrialRow, phases: Iterable[PhaseRow]) -> tuple[str, ...]:
    """Those phases of a trial that were trained at another rate than planned, in words.

    Rates are compared, not `PhaseRow.retried`: the half rate may have been trained already by a
    trial that planned it, and a trial that plans it may use what another trial's retry left.
    """
    first = row.plan.intermediate
    planned = {(str(t.phase.mixture), False): t.phase for t in row.plan.targets if t.phase}
    if first is not None:
        planned[str(first.mixture), True] = first
    named = []
    for phase in phases:
        is_first = first is not None and phase.parent is None
        plan = planned.get((phase.name, is_first))
        if phase.key in row.phase_keys and plan and plan.learning_rate != phase.learning_rate:
            rates = rate_name(phase.learning_rate), rate_name(plan.learning_rate)
            named.append(f"{phase.name} at {rates[0]} (planned {rates[1]})")
    return tuple(named)
