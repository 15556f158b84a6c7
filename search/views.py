"""Plans and verdicts on a terminal, and the verdict as JSON."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from search.answers import percent, points, seen_rows
from search.intervals import Interval
from search.plan import StudyPlan
from search.progress import describe
from search.verdict import BASELINE, WINNER, Verdict


def show_plan(plan: StudyPlan, console: Console) -> None:
    """The stage tree, what comes first, errors and warnings."""
    console.print(f"study {plan.study}: {plan.num_trials} trials", highlight=False, markup=False)
    if plan.num_plans is None:
        console.print("the space is continuous: its plans cannot be counted", highlight=False)
    else:
        assert plan.examples is not None
        assert plan.examples_without_tree is not None
        console.print(
            f"the space has {plan.num_plans} plans: {plan.num_phases} phases, of which "
            f"{plan.num_stages} are distinct stages and trained once; "
            f"{plan.examples:,} examples instead of {plan.examples_without_tree:,}",
            highlight=False,
        )
        table = Table("intermediate stage", "target stages from it", box=None)
        for name, count in plan.stages:
            table.add_row(Text(name), str(count))
        console.print(table)
    first = "; ".join(describe(point) for point in plan.first)
    console.print(f"first: {first}", highlight=False, markup=False)
    for warning in plan.warnings:
        console.print(f"warning: {warning}", markup=False, highlight=False)
    for error in plan.errors:
        console.print(f"error: {error}", markup=False, highlight=False)


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """The verdict as JSON values: test scores by target, role and language, the paired gain."""
    return {
        "study": verdict.study,
        "trial": verdict.trial,
        **verdict.summary(),
        "scores": {
            task: {role: verdict.by_language(role, task) for role in (WINNER, BASELINE)}
            for task in verdict.tasks
        },
        "models": [{"name": m.name, "version": m.version, "uri": m.uri} for m in verdict.models],
    }


def show_verdict(verdict: Verdict, console: Console) -> None:
    """Test scores of the winner beside its baseline's, the gain with its interval, the models."""
    found = verdict_json(verdict)
    for task, scores in found["scores"].items():
        table = Table(
            "language", WINNER, BASELINE, "difference", title=Text(f"{task}, test split"), box=None
        )
        for language, value in scores[WINNER].items():
            baseline = scores[BASELINE].get(language)
            difference = None if baseline is None else value - baseline
            table.add_row(language, percent(value), percent(baseline), points(difference))
        console.print(table)
    for name, gain in [(task, verdict.gain(task)) for task in verdict.tasks] + [
        ("all objective targets", verdict.gain())
    ]:
        if gain is not None:
            console.print(
                f"gain over the baseline, zero-shot mean of {name}: {_interval(gain)}",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
    for sentence in seen_rows(verdict.seen):
        console.print(sentence, highlight=False, markup=False, soft_wrap=True)
    for model in verdict.models:
        console.print(
            f"registered {model.name} version {model.version}", highlight=False, markup=False
        )


def _interval(gain: Interval) -> str:
    seeds = f"{gain.num} paired seeds"
    if gain.low is None or gain.high is None:
        return f"{points(gain.mean)} ({seeds})"
    low, high = points(gain.low), points(gain.high)
    return f"{points(gain.mean)} ({seeds}, 95 % interval {low} to {high})"
