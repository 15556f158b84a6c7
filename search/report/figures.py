"""A study's findings as figures: SVG text by name. Pure; matplotlib's global state is not used.

Figures are readable on a light and on a dark page: text and axes take the page's own colour.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from math import log10
from statistics import fmean
from typing import Any, cast

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from search.display.number_format import shortened
from search.findings.findings import Findings, TrialFinding
from search.findings.study_summary import StudySummary
from search.glance.evidence import LanguageGain
from search.trials.language_verdicts import Call

MAX_TRIALS, MAX_COLUMNS = 40, 80  # of a heatmap
MAX_TICKS = 8
MAX_NAME = 32  # characters of an intermediate's name
INK = "#010101"  # what matplotlib draws with it takes the page's colour
_RC: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text: small, and in the reader's font
    "text.parse_math": False,  # a name with dollar signs is a name
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK
    ),
}
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_COLOURS: Mapping[Call | None, str] = {Call.BETTER: "#1e824c", Call.WORSE: "#c0483c"}
Draw = Callable[[Figure], None]


def figures(findings: Findings) -> dict[str, str]:
    """SVG by name: `heatmap`, `gains`, `rates`, `tradeoff`, `importance`. A figure with nothing to
    draw is left out."""
    drawn = {
        "heatmap": heatmap(findings),
        "gains": gains(findings),
        "rates": rates(findings),
        "tradeoff": tradeoff(findings),
        "importance": importance(findings),
    }
    return {name: svg for name, svg in drawn.items() if svg is not None}


def heatmap(findings: Findings) -> str | None:
    """The best trials by language: one row for each trial, one column for each target and language
    (main scores). Where these are too many, a column is a language (the mean over targets)."""
    trials = findings.ranked_trials[:MAX_TRIALS]
    cells = [_cells(trial) for trial in trials]
    if len(set().union(*cells)) > MAX_COLUMNS:
        cells = [_over_targets(trial) for trial in trials]
    columns = list(dict.fromkeys(column for row in cells for column in row))
    if not columns:
        return None
    rows = [[row.get(column) for column in columns] for row in cells]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        image = axes.imshow(_numbers(rows), aspect="auto", cmap="viridis")
        names = [f"{trial.number} {_name(trial)}" for trial in trials]
        axes.set_yticks(range(len(names)), names)
        axes.set_xticks(range(len(columns)), columns, rotation=90)
        figure.colorbar(image, ax=axes, label="score")

    size = (2.8 + 0.17 * len(columns), 1.4 + 0.2 * len(trials))
    return _svg("heatmap", size, draw)


def language_gains(cells: Sequence[LanguageGain], objective: Sequence[str]) -> str | None:
    """The gain of each zero-shot language, in points: one panel for each target, with the 95 %
    interval where there is one. Filled points are significant. The language that gains most in the
    mean of the objective targets is at the top."""
    if not cells:
        return None
    by_language: dict[str, list[float]] = {cell.language: [] for cell in cells}
    for cell in cells:
        if cell.task in objective:
            by_language[cell.language].append(cell.mean)
    order = sorted(by_language, key=lambda code: fmean(by_language[code] or [0.0]))
    tasks = sorted({cell.task: None for cell in cells}, key=lambda task: task not in objective)

    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
        for axes, task in zip(panels, tasks, strict=True):
            for cell in (cell for cell in cells if cell.task == task):
                _draw_gain(axes, cell, order.index(cell.language))
            axes.axvline(0, color=INK, linewidth=0.8)
            name = shortened(task, MAX_NAME)
            axes.set_title(name if task in objective else f"({name})", fontsize=9)
            axes.set_xlabel("gain in points")
        panels[0].set_yticks(range(len(order)), order)

    return _svg("language_gains", (1.0 + 2.2 * len(tasks), 1.2 + 0.2 * len(order)), draw)


def _draw_gain(axes: Axes, cell: LanguageGain, y: int) -> None:
    """A point and its interval."""
    colour = _COLOURS.get(cell.call, INK)
    if cell.low is not None and cell.high is not None:
        axes.plot([100 * cell.low, 100 * cell.high], [y, y], color=colour, linewidth=1)
    face = "none" if cell.call in (None, Call.TIE) else colour
    axes.plot([100 * cell.mean], [y], "o", markersize=4, color=colour, markerfacecolor=face)


def gains(findings: Findings) -> str | None:
    """The paper's table: gain of each intermediate over the best baseline, by target, in points."""
    rows, tasks = findings.gains.rows, list(findings.gains.baseline)
    if not rows:
        return None
    points = [[_times(100, row.gains.get(task)) for task in tasks] for row in rows]
    limit = max((abs(p) for row in points for p in row if p is not None), default=1.0) or 1.0

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.imshow(_numbers(points), aspect="auto", cmap="RdBu", vmin=-limit, vmax=limit)
        for y, row in enumerate(points):
            for x, value in enumerate(row):
                if value is not None:
                    ink = "white" if abs(value) > 0.6 * limit else "#222222"
                    axes.text(x, y, f"{value:+.1f}", ha="center", va="center", color=ink)
        axes.set_yticks(range(len(rows)), [shortened(row.label, MAX_NAME) for row in rows])
        axes.set_xticks(range(len(tasks)), tasks, rotation=45, ha="right")

    return _svg("gains", (2.6 + 0.55 * len(tasks), 1.2 + 0.28 * len(rows)), draw)


def rates(findings: Findings) -> str | None:
    """Zero-shot mean by learning rate of the intermediate and of the target phases."""
    trials = findings.ranked_trials
    slices = {
        "intermediate": [(t.rates.intermediate, t) for t in trials if t.rates.intermediate],
        "target": [(rate, t) for t in trials for rate in t.rates.target[:1]],
    }
    shown = {role: pairs for role, pairs in slices.items() if pairs}
    if not shown:
        return None

    def draw(figure: Figure) -> None:
        every = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
        names = sorted({_name(trial) for trial in trials})
        colours = matplotlib.colormaps["tab10"]
        for axes, (role, pairs) in zip(every, shown.items(), strict=True):
            for index, name in enumerate(names):
                of_name = [(r, t.zero_shot_mean) for r, t in pairs if _name(t) == name]
                if of_name:
                    axes.scatter(*zip(*of_name, strict=True), color=colours(index % 10), label=name)
            axes.set_xscale("log")
            _rate_ticks(axes, sorted({rate for rate, _ in pairs}))
            axes.set_xlabel(f"learning rate, {role} phase")
        every[0].set_ylabel("zero-shot mean")
        if len(names) <= 10:
            every[-1].legend(frameon=False, fontsize=7, loc="best")

    return _svg("rates", (3.4 * len(shown) + 0.6, 3.0), draw)


def tradeoff(findings: Findings) -> str | None:
    """Zero-shot mean against the worst language; the trials that no other beats in both are
    marked."""
    scored = [(t, t.zero_shot_mean, t.worst_language) for t in findings.ranked_trials]
    both = [(t, mean, worst.score) for t, mean, worst in scored if mean is not None and worst]
    if not both:
        return None
    trials, points = [t for t, _, _ in both], [(mean, worst) for _, mean, worst in both]
    front = not_dominated(points)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot(*zip(*points, strict=True), "o", color="#8a949e", markersize=4)
        best = sorted(points[i] for i in front)
        axes.plot(*zip(*best, strict=True), color="#1f77b4", marker="o", markersize=5)
        for index in front:
            axes.annotate(str(trials[index].number), points[index], (4, 4), **_OFFSET)
        _labels(axes, "zero-shot mean", "score of the worst language")

    return _svg("tradeoff", (4.6, 3.2), draw)


def importance(findings: Findings) -> str | None:
    """How much of the objective's variation each param accounts for."""
    importances = StudySummary.read(findings.summary).importance or {}
    shares = sorted(importances.items(), key=lambda pair: pair[1])
    if not shares:
        return None

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.barh([shortened(name, MAX_NAME) for name, _ in shares], [share for _, share in shares])
        objective = findings.objectives[0] if findings.objectives else "the objective"
        axes.set_xlabel(f"share of the variation of {objective}")

    return _svg("importance", (5.0, 0.9 + 0.28 * len(shares)), draw)


def not_dominated(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points that no other one is at least as good as in both and better in one."""

    def beats(a: tuple[float, float], b: tuple[float, float]) -> bool:
        return a[0] >= b[0] and a[1] >= b[1] and a != b

    return [i for i, point in enumerate(points) if not any(beats(other, point) for other in points)]


_OFFSET: dict[str, Any] = {"textcoords": "offset points", "fontsize": 8}


def _svg(name: str, size: tuple[float, float], draw: Draw) -> str:
    """One `<svg>` element, the same bytes for the same findings."""
    text = io.StringIO()
    with matplotlib.rc_context(cast(Any, {**_RC, "svg.hashsalt": name})):
        figure = Figure(figsize=size)
        draw(figure)
        figure.savefig(
            text, format="svg", transparent=True, bbox_inches="tight", metadata=_NO_METADATA
        )
    whole = text.getvalue()
    return whole[whole.index("<svg") :].replace(INK, "currentColor")


def _rate_ticks(axes: Axes, rates: Sequence[float]) -> None:
    """The rates themselves where they are few, as on a grid, else powers of ten."""
    shown = rates if len(rates) <= MAX_TICKS else sorted({10.0 ** round(log10(r)) for r in rates})
    axes.set_xticks(shown, [f"{rate:.2g}" for rate in shown], rotation=45, ha="right")
    axes.minorticks_off()


def _cells(trial: TrialFinding) -> dict[str, float]:
    return {
        f"{task} {code}": value
        for task, by_language in trial.scores.items()
        for code, value in by_language.items()
    }


def _over_targets(trial: TrialFinding) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for by_language in trial.scores.values():
        for code, value in by_language.items():
            values.setdefault(code, []).append(value)
    return {code: fmean(of_language) for code, of_language in sorted(values.items())}


def _name(trial: TrialFinding) -> str:
    return shortened(trial.label, MAX_NAME)


def _numbers(rows: Sequence[Sequence[float | None]]) -> list[list[float]]:
    return [[float("nan") if value is None else value for value in row] for row in rows]


def _times(factor: float, value: float | None) -> float | None:
    return None if value is None else factor * value


def _labels(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
