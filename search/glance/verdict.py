"""The verdict on a study in two sentences: what to use, and how sure that is. Pure.

Nothing is claimed that the statistics do not carry: a gain without an interval has no known
significance, and a gain in the search is that of the best of many plans on the rows that chose it
(winner's curse).
"""

from collections.abc import Mapping
from typing import Protocol

from search.display.number_format import percent, points, shortened
from search.findings.findings import Findings, TrialFinding
from search.glance.evidence import Evidence, Standing
from search.glance.plans import num_plans
from search.trials.gains import SeedGain
from search.trials.ranking import TrialState

MAX_LABEL, MAX_TASKS, MAX_REASON = 30, 40, 120  # characters


def verdict_sentences(findings: Findings, evidence: Evidence) -> tuple[str, ...]:
    """What to use, then how sure that is."""
    say = _SENTENCES.get(evidence.standing)
    if say is not None:
        return say(findings)
    gain = evidence.gain
    assert gain is not None, "every other standing has a gain"
    if evidence.retrain is not None:
        return _retrained(findings, evidence, gain)
    if evidence.standing is Standing.NO_GAIN:
        return _no_gain(findings, evidence, gain)
    return _searched(findings, evidence, gain)


def _nothing_scored(findings: Findings) -> tuple[str, ...]:
    ended = [trial for trial in findings.trials if trial.state is not TrialState.RUNNING]
    reasons = [trial.reason for trial in ended if trial.reason]
    if not ended:
        return (f"No trial is scored yet; the study is {findings.state}.",)
    first = f"None of the {len(ended)} trials that ended is scored, so there is no answer yet."
    if not reasons:
        return (first,)
    most = max(dict.fromkeys(reasons), key=reasons.count)
    return (first, f"The most frequent reason: {shortened(most, MAX_REASON)}.")


def _nothing_learned(findings: Findings) -> tuple[str, ...]:
    return (
        "Every scored trial collapsed: nothing is learned at these learning rates.",
        "So the study cannot say whether intermediate training helps.",
    )


def _no_baseline(findings: Findings) -> tuple[str, ...]:
    return (
        "No baseline is scored, so the report cannot say whether intermediate training helps.",
        f"Best so far: {_named(findings.best)}, {percent(findings.best_mean)} % in "
        f"{_mean_of(findings)}.",
    )


def _only_baselines(findings: Findings) -> tuple[str, ...]:
    return (
        "Only baselines are scored, so the report cannot say whether intermediate training helps.",
        f"The best baseline is trial {_number(findings.baseline)}, with "
        f"{percent(findings.baseline_mean)} % in {_mean_of(findings)}.",
    )


class _Say(Protocol):
    def __call__(self, findings: Findings) -> tuple[str, ...]: ...


_SENTENCES: Mapping[Standing, _Say] = {
    Standing.NOTHING_SCORED: _nothing_scored,
    Standing.NOTHING_LEARNED: _nothing_learned,
    Standing.NO_BASELINE: _no_baseline,
    Standing.ONLY_BASELINES: _only_baselines,
}


def _retrained(findings: Findings, evidence: Evidence, gain: SeedGain) -> tuple[str, ...]:
    retrain, label = evidence.retrain, _cut(evidence.label)
    assert retrain is not None
    lead = {
        Standing.CONFIRMED: f"Use intermediate training on {label}",
        Standing.REFUTED: f"Do not use intermediate training on {label}",
    }.get(evidence.standing, f"Intermediate training on {label} is not shown to help")
    interval = _interval(gain) or " (one seed gives no interval)"
    levels = [None if side is None else side.mean for side in (retrain.winner, retrain.baseline)]
    first = (
        f"{lead}: with {_seeds(evidence, 'fresh ')} on test rows its gain over the best "
        f"baseline is {points(gain.mean)} points{interval} in {_mean_of(findings)} "
        f"({percent(levels[0])} against {percent(levels[1])} %)."
    )
    parts = []
    if expected := retrain.expected:
        parts.append(f"the search had shown {points(expected.searched)}")
        if expected.low is not None:
            parts[-1] += f", and {points(expected.predicted)} was expected (winner's curse)"
    if twin := retrain.gain_over_twin:
        parts.append(f"over its own target phases alone it is {points(twin.mean)}{_interval(twin)}")
    second = "; ".join(parts)
    return (first, f"{second[0].upper()}{second[1:]}.") if second else (first,)


def _searched(findings: Findings, evidence: Evidence, gain: SeedGain) -> tuple[str, ...]:
    label = _cut(evidence.label)
    by = _by(findings)
    over = (
        f"{points(gain.mean)} points over the best baseline ({percent(findings.best_mean)} against "
        f"{percent(findings.baseline_mean)} %) in {_mean_of(findings)}"
    )
    if evidence.standing is Standing.NOT_SIGNIFICANT:
        return (
            f"No intermediate training is shown to help: the best{by}, {label}, is at {over}, "
            f"over {_seeds(evidence)}{_interval(gain)}.",
            *_curse(findings, "Even this gain"),
        )
    first = f"Intermediate training on {label} is best in this search{by}: {over}"
    if evidence.standing is Standing.SIGNIFICANT:
        return (
            f"{first}, over {_seeds(evidence)}{_interval(gain)}.",
            *_curse(findings, "The gain"),
        )
    side = "each side" if gain.num_first == gain.num_second == 1 else "one side"
    unknown = f"It is not known whether this is significant, because {side} has one seed"
    curse = _curse(findings, "and it")
    return (f"{first}.", f"{unknown}; {curse[0]}" if curse else f"{unknown}.")


def _no_gain(findings: Findings, evidence: Evidence, gain: SeedGain) -> tuple[str, ...]:
    best, label = findings.best, _cut(evidence.label)
    assert best is not None
    baseline = f"trial {_number(findings.baseline)}, {percent(findings.baseline_mean)} %"
    interval = _interval(gain) or " (one seed: it is not known whether that is significant)"
    if best.intermediate is not None:
        return (
            f"No intermediate training is shown to help: {_named(best)} is best by the objective, "
            f"but not in {_mean_of(findings)}.",
            f"There it is at {points(gain.mean)} points from the best baseline ({baseline})"
            f"{interval}.",
        )
    num, _ = num_plans(findings)
    plans = (
        "the one plan with it does not beat" if num == 1 else f"none of {num} plans with it beats"
    )
    if any(trial.is_feasible is False for trial in findings.trials):
        plans = "no plan with it that may win under max_drop beats"
    is_worse = gain.excludes_zero and gain.mean < 0
    lead = (
        "Use no intermediate training" if is_worse else "No intermediate training is shown to help"
    )
    which = "It" if num == 1 else "The best of them"
    return (
        f"{lead}: {plans} the best baseline ({baseline}){_by(findings)}.",
        f"{which}, {label}, is at {points(gain.mean)} points from it in "
        f"{_mean_of(findings)}{interval}.",
    )


def _by(findings: Findings) -> str:
    """` by hours (the first objective)`; empty where the zero-shot mean alone counts."""
    names = findings.objectives
    return f" by {names[0]}{' (the first objective)' if len(names) > 1 else ''}" if names else ""


def _interval(gain: SeedGain) -> str:
    """` (95 % interval +0.1 to +2.3, significant)`; empty with one seed."""
    if gain.low is None:
        return ""
    call = "significant" if gain.excludes_zero else "not significant"
    return f" (95 % interval {points(gain.low)} to {points(gain.high)}, {call})"


def _curse(findings: Findings, gain: str) -> tuple[str, ...]:
    """A sentence on the winner's curse; none where there was nothing to choose from. The best of
    many plans is too high, and so is the best of many baselines: with as many of these, it is not
    known to which side their difference is biased."""
    num, num_baselines = num_plans(findings)
    if num + num_baselines < 3:
        return ()
    bias = "is probably too high" if num > num_baselines else "may be too high or too low"
    plans = f"{num} plan{'' if num == 1 else 's'}"
    baselines = f"{num_baselines} baseline{'' if num_baselines == 1 else 's'}"
    return (
        f"{gain} {bias}, because the same rows chose the best of {plans} and of {baselines} "
        "(winner's curse).",
    )


def _mean_of(findings: Findings) -> str:
    """`the zero-shot mean of coh and kind in 11 languages`."""
    tasks = findings.objective_targets
    named = " and ".join([", ".join(tasks[:-1]), tasks[-1]] if len(tasks) > 1 else tasks)
    if len(named) > MAX_TASKS:
        named = f"{len(tasks)} targets" if len(tasks) > 1 else shortened(named, MAX_TASKS)
    languages = {
        cell.language
        for cell in findings.languages
        if cell.task in findings.objective_targets and not cell.is_source
    }
    num = f"{len(languages)} language{'' if len(languages) == 1 else 's'}"
    return f"the zero-shot mean of {named} in {num}"


def _seeds(evidence: Evidence, kind: str = "") -> str:
    num = evidence.num_seeds
    return f"{num} {kind}seed{'' if num == 1 else 's'}"


def _named(trial: TrialFinding | None) -> str:
    assert trial is not None
    return f"trial {trial.number} ({_cut(trial.label)})"


def _number(trial: TrialFinding | None) -> int:
    assert trial is not None
    return trial.number


def _cut(label: str) -> str:
    return shortened(label, MAX_LABEL)
