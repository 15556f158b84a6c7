"""The report of a study, from its record alone: as JSON, on a terminal, as one HTML page."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields

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
from search.display.json_form import json_of
from search.display.number_format import percent, points, rate, value_text
from search.display.tables import titled_table
from search.display.verdict_sentences import collapsed_runs
from search.findings.find import find
from search.findings.findings import Findings, LanguageCell, Report, TrialFinding
from search.glance.evidence import Evidence
from search.glance.glance import Glance
from search.glance.steps import Asked
from search.glance.text import show_glance
from search.planning.prior_views import prior_sentences
from search.record.reader import StudyRecord
from search.report.figures import figures, language_gains
from search.report.pareto_views import objective_sentences, pareto_heads, pareto_rows, pareto_table
from search.report.sentences import (
    closing,
    collapsed_baselines,
    collapsed_seeds,
    sentences,
)
from search.trials.gains import GainRow
from search.trials.ranking import TrialState
from spaces.json_values import JsonObject

_MAX_ROWS = 30  # of trials on a terminal; the other forms have all
_CAPTIONS = {
    "heatmap": "The best trials by target and language",
    "gains": "Gain of each intermediate over the best baseline, in points",
    "rates": "Zero-shot mean by learning rate",
    "tradeoff": "Zero-shot mean and worst language: no trial beats those on the line in both",
    "importance": "What the objective depends on",
}


@dataclass(frozen=True, slots=True)
class LanguageMatrix:
    """The language cells by task and language; source languages come first."""

    tasks: tuple[str, ...]
    languages: tuple[str, ...]
    cells: Mapping[tuple[str, str], LanguageCell]

    @classmethod
    def of(cls, cells: tuple[LanguageCell, ...]) -> "LanguageMatrix":
        source = {cell.language for cell in cells if cell.is_source}
        languages = {cell.language for cell in cells}
        return cls(
            tasks=tuple(dict.fromkeys(cell.task for cell in cells)),
            languages=tuple(sorted(languages, key=lambda code: (code not in source, code))),
            cells={(cell.task, cell.language): cell for cell in cells},
        )


def report_of(record: StudyRecord, *, force: bool = False) -> Report:
    """The findings with the sentences that sum them up.

    Raises Refusal where trials were scored under different protocols, unless `force` is set.
    """
    findings = find(record, force=force)
    content = {each.name: getattr(findings, each.name) for each in fields(Findings)}
    return Report(**content, answer=_lines(findings))


def report_json(record: StudyRecord, *, force: bool = False) -> JsonObject:
    """The JSON object of `report --json`; its schema is docs/reference/report.schema.json. Raises
    Refusal as `report_of`."""
    return json_of(report_of(record, force=force))


def render_glance(
    record: StudyRecord, console: Console, asked: Asked | None = None, *, force: bool = False
) -> None:
    """The result at a glance on a terminal; `asked` is what the next command needs to find the
    study. Raises Refusal as `report_of`."""
    show_glance(Glance.of(find(record, force=force), asked), console)


def render(record: StudyRecord, console: Console, *, force: bool = False) -> None:
    """The whole report on a terminal: the answer in one sentence, the tables, and what they mean.
    Raises Refusal as `report_of`."""
    findings = find(record, force=force)
    headline, *rest = _lines(findings)
    console.print(Text(headline, style="bold"))
    tables = (
        _trial_table(findings),
        pareto_table(findings),
        _gain_table(findings),
        _language_table(findings),
        slope_table(findings.degradation),
    )
    for table in tables:
        if table.row_count:
            console.print(table)
    for line in rest:
        console.print(Text(line))


def render_html(record: StudyRecord, *, force: bool = False) -> str:
    """One HTML page with everything in it. Raises Refusal as `report_of`."""
    findings = find(record, force=force)
    environment = Environment(
        loader=PackageLoader("search", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "points": points, "rate": rate}
    drawn = figures(findings)
    by_language = language_gains(Evidence.of(findings).languages, findings.objective_targets)
    page: str = environment.get_template("report.html.j2").render(
        findings=findings,
        glance=Glance.of(findings),
        gains_by_language=Markup(by_language or ""),
        value_text=value_text,
        protocols={task: asdict(protocol) for task, protocol in findings.protocol.items()},
        trials=list(_in_order(findings)),
        sentences=[
            *sentences(findings),
            *_more_sentences(findings),
        ],
        pareto={"heads": pareto_heads(findings), "rows": pareto_rows(findings)},
        closing=closing(findings),
        matrix=LanguageMatrix.of(findings.languages),
        marks=_marks,
        collapsed=collapsed_seeds,
        collapsed_before=collapsed_baselines,
        collapsed_runs=collapsed_runs,
        figures={_CAPTIONS[name]: Markup(svg) for name, svg in drawn.items()},
        scatters=scatters(findings.degradation),
        ends=ends,
        width=WIDTH,
        height=HEIGHT,
        margin=MARGIN,
    )
    return page


def _lines(findings: Findings) -> tuple[str, ...]:
    return (*sentences(findings), *_more_sentences(findings), *closing(findings))


def _more_sentences(findings: Findings) -> Iterator[str]:
    """The sentences between the answer and how the study ran."""
    best, baseline = findings.best, findings.baseline
    compared = f"trial {best.number} beside trial {baseline.number}" if best and baseline else ""
    yield from objective_sentences(findings)
    yield from degradation_sentences(findings.degradation, compared=compared)
    yield from prior_sentences(findings.priors)


def _in_order(findings: Findings) -> Iterator[TrialFinding]:
    """Ranked trials first, then the others by number."""
    ranked = set(findings.ranked)
    yield from findings.ranked_trials
    yield from (trial for trial in findings.trials if trial.number not in ranked)


def _trial_table(findings: Findings) -> Table:
    table = titled_table(f"Study {findings.study} ({findings.state})")
    table.add_column("#", justify="right")
    table.add_column("intermediate", overflow="fold", min_width=12)
    table.add_column("rates", overflow="fold", min_width=11)
    for name in ("objective", "zero-shot", "gap", "gain"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    trials = list(_in_order(findings))
    for trial in trials[:_MAX_ROWS]:
        table.add_row(
            str(trial.number),
            Text(trial.label),
            str(trial.rates),
            percent(trial.objective),
            percent(trial.zero_shot_mean),
            percent(trial.transfer_gap),
            _coloured(trial.transfer_gain),
            Text(_marks(trial), style="yellow"),
        )
    if len(trials) > _MAX_ROWS:
        table.caption = f"and {len(trials) - _MAX_ROWS} more"
    return table


def _gain_table(findings: Findings) -> Table:
    """The paper's table: what each intermediate adds to each target."""
    table = titled_table("Gain of each intermediate over the best baseline, in task scores")
    rows, level = findings.gains.rows, findings.gains.baseline
    if any(" +" in row.label for row in rows):
        table.caption = (
            "after a +: text that is masked beside the tasks, and its share of the steps"
        )
    table.add_column("intermediate", overflow="fold", min_width=12)
    for task in (*level, "mean"):
        table.add_column(Text(task), justify="right")
    before = [
        _with_collapse(Text(percent(score)), collapsed_baselines(findings.gains, task))
        for task, score in level.items()
    ]
    table.add_row("the baseline's scores", *before)
    for row in rows:
        cells = [_gain_cell(row, task) for task in level]
        last = _coloured(row.mean)
        if row.spread is not None:
            last.append(f" ± {percent(row.spread)}", style="dim")
        table.add_row(Text(row.label), *cells, last)
    return table


def _gain_cell(row: GainRow, task: str) -> Text:
    """A gain; below it how many of its seeds collapsed, if any did."""
    return _with_collapse(_coloured(row.gains.get(task)), collapsed_seeds(row, task))


def _with_collapse(text: Text, collapsed: str) -> Text:
    return text.append(f"\n{collapsed}", style="yellow") if collapsed else text


def _language_table(findings: Findings) -> Table:
    """A row for each language, a column for each task: the best trial, and its difference."""
    matrix = LanguageMatrix.of(findings.languages)
    table = titled_table("Best trial by language, and its difference from the best baseline")
    table.add_column("")
    for task in matrix.tasks:
        mark = findings.best.marks.get(task, "") if findings.best else ""
        table.add_column(Text(task).append(f"\n{mark}", style="yellow"), justify="right")
    for language in matrix.languages:
        cells = (matrix.cells.get((task, language)) for task in matrix.tasks)
        table.add_row(Text(language), *(_cell(cell) for cell in cells))
    return table


def _cell(cell: LanguageCell | None) -> Text:
    if cell is None:
        return Text("")
    text = Text(percent(cell.best) + ("*" if cell.is_source else ""))
    if cell.difference is not None:
        text.append(" ").append_text(_coloured(cell.difference))
    return text


def _coloured(difference: float | None) -> Text:
    style = "" if not difference else "green" if difference > 0 else "red"
    return Text(points(difference), style=style)


def _marks(trial: TrialFinding) -> str:
    """What limits the numbers of a trial, or why it has none."""
    if trial.state is TrialState.DUPLICATE:
        return f"same as trial {trial.duplicate_of}"
    if trial.state is not TrialState.SCORED:
        return ": ".join(part for part in (trial.state, trial.reason) if part)
    marked: dict[str, list[str]] = {}
    for task, mark in trial.marks.items():
        marked.setdefault(mark, []).append(task)
    parts = [f"{mark} ({', '.join(tasks)})" for mark, tasks in marked.items()]
    if trial.is_feasible is False:
        parts.append(f"may not win: {points(-(trial.largest_drop or 0.0))}")
    return "; ".join(parts)
