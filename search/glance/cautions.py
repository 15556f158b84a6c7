"""What changes the answer of a study, or how far it can be trusted. The gravest first. Pure."""

from collections.abc import Iterator

from search.display.number_format import points
from search.display.verdict_sentences import collapsed_runs, over_seeds, seen_rows
from search.findings.findings import Findings
from search.glance.evidence import Evidence
from search.glance.plans import num_plans
from search.trials.ranking import TrialState

FEW = 5  # plans with an intermediate phase


def cautions(findings: Findings, evidence: Evidence) -> tuple[str, ...]:
    """One sentence each."""
    return (
        *_unfinished(findings),
        *_not_retrained(findings, evidence),
        *_less_than_expected(evidence),
        *_incomparable(findings),
        *_without_signal(findings, evidence),
        *_collapsed_seeds(evidence),
        *_collapsed_trials(findings, evidence),
        *_failed(findings),
        *_few_plans(findings),
        *_retrained_targets(findings),
        *_other_rules(findings),
        *_unselected(findings),
        *seen_rows(findings.selection.seen_test_rows),
        *(f"Before the search: {warning}." for warning in findings.warnings),
    )


def _unfinished(findings: Findings) -> Iterator[str]:
    if findings.state != "finished" and findings.best is not None:
        yield "The search has not ended: further trials may change the answer."


def _not_retrained(findings: Findings, evidence: Evidence) -> Iterator[str]:
    best, retrain = findings.best, evidence.retrain
    if retrain is not None and best is not None and best.label != retrain.label:
        yield f"The best of the search is trial {best.number} ({best.label}): it was not retrained."


def _less_than_expected(evidence: Evidence) -> Iterator[str]:
    expected = evidence.retrain.expected if evidence.retrain else None
    if expected is not None and expected.falls_out:
        low, high = points(expected.low), points(expected.high)
        yield f"The fresh seeds gain less than was expected (95 % interval {low} to {high})."


def _retrained_targets(findings: Findings) -> Iterator[str]:
    """Retrains of some targets alone: they do not decide."""
    for retrain in findings.retrains:
        if retrain.gain is not None and set(retrain.targets) != set(findings.objective_targets):
            yield (
                f"Retrained for {', '.join(retrain.targets)} alone, with {retrain.label}: "
                f"{points(retrain.gain.mean)} points{over_seeds(retrain.gain)}."
            )


def _incomparable(findings: Findings) -> Iterator[str]:
    for task, different in findings.protocol_differences.items():
        yield f"Scores on {task} do not compare between trials: {', '.join(different)} differ."


def _without_signal(findings: Findings, evidence: Evidence) -> Iterator[str]:
    """Objective targets that a side did not learn: a difference there is not better transfer."""
    if evidence.retrain is not None:
        if silent := findings.degradation.left_out:
            yield f"In most seeds, one side of the retrain did not learn {', '.join(silent)}."
        return
    baseline, best = (
        [task for task in findings.objective_targets if side is not None and task in side.marks]
        for side in (findings.baseline, findings.best)
    )
    both = [task for task in baseline if task in best]
    if both:
        yield f"Neither side learned {', '.join(both)}: differences there are noise."
    if alone := [task for task in baseline if task not in both]:
        yield (
            f"The best baseline did not learn {', '.join(alone)}: the gain there is not better "
            "transfer."
        )
    if alone := [task for task in best if task not in both]:
        yield f"The best trial did not learn {', '.join(alone)}."


def _collapsed_seeds(evidence: Evidence) -> Iterator[str]:
    gain, retrain = evidence.gain, evidence.retrain
    if gain is not None and gain.num_collapsed and gain.num_first + gain.num_second > 2:
        without = (
            f"; without these the gain is {points(gain.sound.mean)} points" if gain.sound else ""
        )
        yield f"{collapsed_runs(gain)}{without}."
    if retrain is not None and (num := sum(retrain.num_failed.values())):
        yield f"{num} runs of the retrain diverged and have no score."


def _collapsed_trials(findings: Findings, evidence: Evidence) -> Iterator[str]:
    """Targets that collapse more often after the intermediate task of the verdict than without."""
    groups = {group.label: group for group in findings.intermediates}
    group, without = groups.get(evidence.label), groups.get("baseline")
    for task, num in group.collapsed.items() if group and without else ():
        before = without.collapsed.get(task, 0) if without else 0
        if group and without and num * without.num_trials > before * group.num_trials:
            yield (
                f"After {group.label}, {task} collapsed in {num} of {group.num_trials} trials; "
                f"without intermediate training in {before} of {without.num_trials}."
            )


def _failed(findings: Findings) -> Iterator[str]:
    failed = sum(trial.state is TrialState.FAILED for trial in findings.trials)
    if failed and findings.best is not None:
        yield f"{failed} of {len(findings.trials)} trials failed and are in no number."


def _few_plans(findings: Findings) -> Iterator[str]:
    num, num_baselines = num_plans(findings)
    if 0 < num < FEW:
        yield f"Few plans: {num} with intermediate training, {num_baselines} without."
    elif num_baselines == 1:
        yield (
            f"One baseline beside {num} plans with intermediate training: its learning rates were "
            "not searched as theirs were."
        )


def _other_rules(findings: Findings) -> Iterator[str]:
    best = findings.best
    for other in findings.selection.other_rules:
        if best is not None and other.number != best.number:
            yield f"The selection rule {other.rule} would choose trial {other.number} instead."


def _unselected(findings: Findings) -> Iterator[str]:
    selection = findings.selection
    if selection.left_out:
        yield (
            f"The rule {selection.rule} finds no rows in {', '.join(selection.left_out)}: these "
            "targets do not affect the choice."
        )
