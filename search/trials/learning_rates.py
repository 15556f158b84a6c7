"""What trials say of learning rates: where phases collapse, did not learn, or diverged. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from search.trials.ranking import PhaseRow, TrialRow, TrialState, collapsed_targets
from spaces.phases import rate_name

Json = dict[str, Any]

_MAX_RATES = 12


def learning_rates(rows: Sequence[TrialRow]) -> dict[str, list[Json]]:
    """How much collapsed at each learning rate, by the role of the phase: of target phases the
    phases themselves, of intermediate ones the trials of which some target did."""
    counts: dict[str, dict[float, list[bool]]] = {"intermediate": {}, "target": {}}
    for row in rows:
        lost = collapsed_targets(row)
        if row.plan.intermediate:
            rate = row.plan.intermediate.learning_rate
            counts["intermediate"].setdefault(rate, []).append(bool(lost))
        of_interest = [t.task for t in row.scores.objective_targets] if row.scores else []
        for target in row.plan.targets:
            if target.phase and target.task in of_interest:
                marks = counts["target"].setdefault(target.phase.learning_rate, [])
                marks.append(target.task in lost)
    return {
        role: [
            {"rate": rate, "num": len(marks), "collapsed": sum(marks) / len(marks)}
            for rate, marks in sorted(_rounded(by_rate).items())
        ]
        for role, by_rate in counts.items()
    }


def flat_intermediates(rows: Sequence[TrialRow], phases: Sequence[PhaseRow]) -> list[Json]:
    """Intermediate phases whose loss did not fall, with the trials that went on from them (of all
    seeds): targets may well learn after one, and what it adds is then no gain of its task."""
    flat = {phase.key for phase in phases if not phase.loss_fell}
    found: dict[tuple[str, float], list[int]] = defaultdict(list)
    for row in rows:
        stem = row.plan.intermediate
        if stem and row.phase_keys and row.phase_keys[0] in flat:
            found[stem.mixture.short, stem.learning_rate].append(row.number)
    return [
        {"label": label, "learning_rate": rate, "trials": numbers}
        for (label, rate), numbers in found.items()
    ]


def _rounded(by_rate: dict[float, list[bool]]) -> dict[float, list[bool]]:
    """Rates drawn from a range, brought together by their first digit; a grid stays as it is."""
    if len(by_rate) <= _MAX_RATES:
        return by_rate
    together: dict[float, list[bool]] = defaultdict(list)
    for rate, marks in by_rate.items():
        together[float(f"{rate:.0e}")] += marks
    return together


def half_rates(rows: Sequence[TrialRow], phases: Sequence[PhaseRow]) -> list[Json]:
    """Scored trials of which a phase diverged at its rate and was trained at half of it, with the
    phases in words: `fact at 1e-04 (planned 2e-04)`."""
    found = [(row, halved(row, phases)) for row in rows if row.state is TrialState.SCORED]
    return [{"number": row.number, "phases": list(named)} for row, named in found if named]


def halved(row: TrialRow, phases: Iterable[PhaseRow]) -> tuple[str, ...]:
    """Which of a trial's phases were trained at another rate than planned, in words.

    By rates, not by `PhaseRow.retried`: a trial may find its half rate trained by one that had
    planned it, and one that plans it may find what another trial's retry left.
    """
    first = row.plan.intermediate
    planned = {(str(t.phase.mixture), False): t.phase for t in row.plan.targets if t.phase}
    if first is not None:
        planned[str(first.mixture), True] = first
    found = []
    for phase in phases:
        is_first = first is not None and phase.parent is None
        asked = planned.get((phase.name, is_first))
        if phase.key in row.phase_keys and asked and asked.learning_rate != phase.learning_rate:
            rates = rate_name(phase.learning_rate), rate_name(asked.learning_rate)
            found.append(f"{phase.name} at {rates[0]} (planned {rates[1]})")
    return tuple(found)
