"""Several objectives, and trials that may not win: sentences, and the Pareto set as a table.
Pure."""

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from search.display.number_format import percent, points, value_text
from search.display.tables import titled_table
from search.findings.findings import Findings, TrialFinding
from search.trials.ranking import TrialState

MAX_NAMED = 8


def objective_sentences(findings: Findings) -> Iterator[str]:
    """The Pareto set of several objectives; how many trials may not win, and what they gain."""
    names, pareto = findings.objectives, findings.pareto
    if pareto:
        listed = [f"{entry.number} ({entry.name})" for entry in pareto[:MAX_NAMED]]
        more = f" and {len(pareto) - MAX_NAMED} more" if len(pareto) > MAX_NAMED else ""
        yield (
            f"Pareto set of {', '.join(names)}: {', '.join(listed)}{more}; no trial is as good as "
            f"one of these in all and better in one. Trial {pareto[0].number} is the best in "
            f"{names[0]}, the first objective: `retrain` takes it unless --trial names another."
        )
    elif len(names) > 1 and findings.state == "finished":
        yield "The Pareto set is empty: no trial was scored that may win and did not collapse."
    barred = [trial for trial in findings.trials if trial.is_feasible is False]
    if barred:
        yield from _barred(barred, findings)


def pareto_rows(findings: Findings) -> list[list[str]]:
    """The Pareto set as text: number and name of a trial, its value in each objective."""
    return [
        [str(entry.number), entry.name]
        + [value_text(name, entry.values[name]) for name in findings.objectives]
        for entry in findings.pareto
    ]


def pareto_heads(findings: Findings) -> list[str]:
    return ["trial", "plan", *findings.objectives]


def pareto_table(findings: Findings) -> Table:
    table = titled_table("Pareto set")
    for index, head in enumerate(pareto_heads(findings)):
        table.add_column(head, justify="left" if index == 1 else "right", overflow="fold")
    for cells in pareto_rows(findings):
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _barred(barred: Sequence[TrialFinding], findings: Findings) -> Iterator[str]:
    scored = [trial for trial in findings.trials if trial.state is TrialState.SCORED]
    sound = [trial for trial in barred if not trial.collapsed]
    yield (
        f"{len(barred)} of {len(scored)} scored trials may not win: beyond chance, in a language "
        f"that selects they are more than {percent(findings.max_drop)} points under their baseline."
    )
    if sound:
        best = max(sound, key=lambda trial: trial.zero_shot_mean or 0.0)
        yield (
            f"The best of these, trial {best.number} ({best.name}), has a gain of "
            f"{points(best.transfer_gain)} points and falls by {percent(best.largest_drop)} "
            "where it falls most."
        )
