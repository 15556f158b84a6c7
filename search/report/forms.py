"""The report of a study, from its record alone: as JSON, on a terminal, as one HTML page."""

from collections.abc import Iterator
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from rich.console import Console
from rich.table import Table
from rich.text import Text

from search.degradation.views import (
    HEIGHT,
    MARGIN,
    WIDTH,
    degradation_sentences,
    ends,
    scatters,
    slope_table,
)
from search.display.number_format import percent, points
from search.display.tables import titled_table
from search.record.reader import StudyRecord
from search.report.figures import figures
from search.report.findings import find
from search.report.pareto_views import objective_sentences, pareto_heads, pareto_rows, pareto_table
from search.report.priors import prior_sentences
from search.report.sentences import (
    closing,
    collapsed_baselines,
    collapsed_runs,
    collapsed_seeds,
    sentences,
)

_MAX_ROWS = 30  # of trials on a terminal; the other forms have all
_CAPTIONS = {
    "heatmap": "The best trials by target and language",
    "gains": "Gain of each intermediate over the best baseline, in points",
    "rates": "Zero-shot mean by learning rate",
    "tradeoff": "Zero-shot mean and worst language: no trial beats those on the line in both",
    "importance": "What the objective depends on",
}


def report_json(record: StudyRecord, *, force: bool = False) -> dict[str, Any]:
    """The findings as JSON values, with the sentences that sum them up under `answer`.

    Raises Refusal where trials were scored under different protocols, unless `force` is set.
    """
    found = find(record, force=force)
    return {**found, "answer": list(_lines(found))}


def render(record: StudyRecord, console: Console, *, force: bool = False) -> None:
    """The answer in one sentence, the tables, and what they mean, on a terminal. Raises Refusal as
    `report_json`."""
    found = find(record, force=force)
    headline, *rest = _lines(found)
    console.print(Text(headline, style="bold"))
    tables = (_trial_table, pareto_table, _gain_table, _language_table, slope_table)
    for part in (table(found) for table in tables):
        if part.row_count:
            console.print(part)
    for line in rest:
        console.print(Text(line))


def render_html(record: StudyRecord, *, force: bool = False) -> str:
    """One page with everything in it. Raises Refusal as `report_json`."""
    found = find(record, force=force)
    environment = Environment(
        loader=PackageLoader("search", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "points": points, "rate": _rate}
    page: str = environment.get_template("report.html.j2").render(
        found=found,
        trials=list(_in_order(found)),
        sentences=[
            *sentences(found),
            *objective_sentences(found),
            *degradation_sentences(found),
            *prior_sentences(found),
        ],
        pareto={"heads": pareto_heads(found), "rows": pareto_rows(found)},
        closing=closing(found),
        matrix=_matrix(found),
        marks=_marks,
        collapsed=collapsed_seeds,
        collapsed_before=collapsed_baselines,
        collapsed_runs=collapsed_runs,
        figures={_CAPTIONS[name]: Markup(svg) for name, svg in figures(found).items()},
        scatters=scatters(found),
        ends=ends,
        width=WIDTH,
        height=HEIGHT,
        margin=MARGIN,
    )
    return page


def _lines(found: dict[str, Any]) -> tuple[str, ...]:
    parts = (sentences, objective_sentences, degradation_sentences, prior_sentences, closing)
    return tuple(line for part in parts for line in part(found))


def _in_order(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Ranked trials first, then the others by number."""
    by_number = {trial["number"]: trial for trial in found["trials"]}
    ranked = set(found["ranked"])
    yield from (by_number[number] for number in found["ranked"])
    yield from (trial for number, trial in by_number.items() if number not in ranked)


def _trial_table(found: dict[str, Any]) -> Table:
    table = titled_table(f"Study {found['study']} ({found['state']})")
    table.add_column("#", justify="right")
    table.add_column("intermediate", overflow="fold", min_width=12)
    table.add_column("rates", overflow="fold", min_width=11)
    for name in ("objective", "zero-shot", "gap", "gain"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    trials = list(_in_order(found))
    for trial in trials[:_MAX_ROWS]:
        table.add_row(
            str(trial["number"]),
            Text(trial["label"]),
            _rates(trial),
            percent(trial["objective"]),
            percent(trial["zero_shot_mean"]),
            percent(trial["transfer_gap"]),
            _coloured(trial["transfer_gain"]),
            Text(_marks(trial), style="yellow"),
        )
    if len(trials) > _MAX_ROWS:
        table.caption = f"and {len(trials) - _MAX_ROWS} more"
    return table


def _gain_table(found: dict[str, Any]) -> Table:
    """The paper's table: what each intermediate adds to each target."""
    table = titled_table("Gain of each intermediate over the best baseline, in task scores")
    rows, level = found["gains"]["rows"], found["gains"]["baseline"]
    if any(" +" in row["label"] for row in rows):
        table.caption = (
            "after a +: text that is masked beside the tasks, and its share of the steps"
        )
    table.add_column("intermediate", overflow="fold", min_width=12)
    for task in (*level, "mean"):
        table.add_column(Text(task), justify="right")
    before = [
        _with_collapse(Text(percent(score)), collapsed_baselines(found["gains"], task))
        for task, score in level.items()
    ]
    table.add_row("the baseline's scores", *before)
    for row in rows:
        cells = [_gain_cell(row, task) for task in level]
        last = _coloured(row["mean"])
        if row["spread"] is not None:
            last.append(f" ± {percent(row['spread'])}", style="dim")
        table.add_row(Text(row["label"]), *cells, last)
    return table


def _gain_cell(row: dict[str, Any], task: str) -> Text:
    """A gain; under it how many of its seeds collapsed, if any did."""
    return _with_collapse(_coloured(row["gains"].get(task)), collapsed_seeds(row, task))


def _with_collapse(text: Text, told: str) -> Text:
    return text.append(f"\n{told}", style="yellow") if told else text


def _language_table(found: dict[str, Any]) -> Table:
    """A row for each language, a column for each task: the best trial, and its difference."""
    matrix = _matrix(found)
    table = titled_table("Best trial by language, and its difference from the best baseline")
    table.add_column("")
    for task in matrix["tasks"]:
        mark = found["best"]["marks"].get(task, "")
        table.add_column(Text(task).append(f"\n{mark}", style="yellow"), justify="right")
    for language in matrix["languages"]:
        cells = (matrix["cells"].get((task, language)) for task in matrix["tasks"])
        table.add_row(Text(language), *(_cell(cell) for cell in cells))
    return table


def _matrix(found: dict[str, Any]) -> dict[str, Any]:
    """Tasks, languages (source languages first) and the cell of each pair that was scored."""
    cells = {(cell["task"], cell["language"]): cell for cell in found["languages"]}
    source = {cell["language"] for cell in found["languages"] if cell["is_source"]}
    languages = {language for _, language in cells}
    return {
        "tasks": list(dict.fromkeys(task for task, _ in cells)),
        "languages": sorted(languages, key=lambda code: (code not in source, code)),
        "cells": cells,
    }


def _cell(cell: dict[str, Any] | None) -> Text:
    if cell is None:
        return Text("")
    text = Text(percent(cell["best"]) + ("*" if cell["is_source"] else ""))
    if cell["difference"] is not None:
        text.append(" ").append_text(_coloured(cell["difference"]))
    return text


def _coloured(difference: float | None) -> Text:
    style = "" if not difference else "green" if difference > 0 else "red"
    return Text(points(difference), style=style)


def _marks(trial: dict[str, Any]) -> str:
    """What is to be known of a trial before its numbers are believed."""
    if trial["state"] == "duplicate":
        return f"same as trial {trial['duplicate_of']}"
    if trial["state"] != "scored":
        return ": ".join(part for part in (trial["state"], trial["reason"]) if part)
    marked: dict[str, list[str]] = {}
    for task, mark in trial["marks"].items():
        marked.setdefault(mark, []).append(task)
    parts = [f"{mark} ({', '.join(tasks)})" for mark, tasks in marked.items()]
    if trial["is_feasible"] is False:
        parts.append(f"may not win: {points(-trial['largest_drop'])}")
    return "; ".join(parts)


def _rates(trial: dict[str, Any]) -> str:
    target = ", ".join(_rate(rate) for rate in trial["rates"]["target"])
    first = trial["rates"]["intermediate"]
    return f"{_rate(first)} → {target}" if first is not None else target


def _rate(rate: float) -> str:
    """2e-05 as `2e-5`."""
    mantissa, _, exponent = f"{rate:.2e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}"
