"""Where transfer is lost, in words, as a table, and as the points of a picture. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from rich.table import Table
from rich.text import Text

from search.degradation.findings import Degradation, GapCell, SlopeRow, SourceLanguages
from search.degradation.slopes import Slope
from search.degradation.typology import SCRIPT
from search.display.number_format import points
from search.display.tables import titled_table
from search.stats.intervals import Interval

Side = Literal["before", "after"]

WIDTH, HEIGHT, MARGIN = 300, 200, 34  # of a scatter, in pixels
SIDES: tuple[Side, Side] = ("before", "after")
MAX_NAMED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Scatter:
    """The gap of every language against one kind of distance. `across` and `down` are the ends of
    the axes, a distance and a gap in [-1, 1]; points (language, x, y) and the two ends of each line
    are in pixels."""

    kind: str
    across: tuple[float, float]
    down: tuple[float, float]
    points: Mapping[Side, list[tuple[str, float, float]]]
    lines: Mapping[Side, list[tuple[float, float]]]


def degradation_sentences(degradation: Degradation, *, compared: str = "") -> list[str]:
    """How the gap grows with distance, what intermediate training changes of it, who loses.

    Args:
        compared: the trials whose losing languages the report has named already, as
            `Degradation.measured_on` names them.
    """
    return [
        *_growth(degradation),
        *_changes(degradation),
        *_losers(degradation, compared),
        *_by_source(degradation.intermediate_languages),
    ]


def slope_table(degradation: Degradation) -> Table:
    """A row for each distance, over all counted targets; no rows where nothing was regressed."""
    table = titled_table(
        f"Gap from near to far languages ({degradation.measured_on})",
        caption="points, 95 % intervals over families of languages, bold where zero is outside; "
        "rank: gap (without) by distance",
    )
    table.add_column("distance", no_wrap=True)
    table.add_column("from, to (of)")
    for name in ("without", "with", "change", "rank"):
        table.add_column(name, justify="right")
    for row in degradation.over_all:
        rank = row.before.rank if row.before else None
        table.add_row(
            row.kind,
            f"{', '.join(ends(row))} ({row.num_languages})",
            *(_interval(slope, row.span) for slope in (row.before, row.after)),
            _interval(row.change, row.span, is_bold=row.has_change),
            "–" if rank is None else f"{rank:+.2f}".replace("-", "−"),
        )
    return table


def ends(row: SlopeRow) -> tuple[str, str]:
    """The nearest and the farthest language: a slope is shown between them."""
    return ("same", "other") if row.kind == SCRIPT else (row.nearest, row.farthest)


def scatters(degradation: Degradation) -> list[Scatter]:
    """For each distance, the gap of every language against it: pixels of a WIDTH by HEIGHT
    picture, and lines through the means with the slopes of the regression.

    A gap is the mean over the counted targets, each of them moved to the mean of all: targets are
    scored in different languages, and a hard target would else look like a far language.
    """
    return [_scatter(row, degradation) for row in degradation.over_all]


def _growth(degradation: Degradation) -> Iterator[str]:
    if degradation.unknown:
        yield degradation.unknown
        return
    rows = degradation.over_all
    if not rows:
        yield (
            "Not regressed on distance: no distance is known, and varies, over "
            f"{degradation.min_languages} zero-shot languages."
        )
        return
    significant = [(row, row.before) for row in rows if row.before and row.before.excludes_zero]
    parts = "; ".join(_part(row, slope) for row, slope in significant)
    num, tasks = degradation.num_languages, ", ".join(degradation.counted)
    if parts:
        yield (
            f"Without intermediate training the gap of {tasks} changes, over {num} zero-shot "
            f"languages, with distance: {parts}."
        )
    else:
        names = ", ".join(row.kind for row in rows)
        yield (
            f"Without intermediate training the gap of {tasks} does not depend significantly on "
            f"distance, over {num} zero-shot languages ({names})."
        )
    if degradation.left_out:
        silent = ", ".join(degradation.left_out)
        yield f"Not counted there, because one side is at chance: {silent}."
    yield from _unmeasured(rows)
    yield from _unsure(rows)


def _unsure(rows: Sequence[SlopeRow]) -> Iterator[str]:
    """Why distances have no interval, those with the same reason together."""
    kinds: dict[str, list[str]] = {}
    for row in rows:
        if row.before and row.before.unknown:
            kinds.setdefault(row.before.unknown, []).append(row.kind)
    for why, names in kinds.items():
        kinds_named = ", ".join(names)
        yield f"An interval needs several families; these have none: {kinds_named} ({why})."


def _unmeasured(rows: Sequence[SlopeRow]) -> Iterator[str]:
    missing = [f"{row.kind} {' '.join(row.unmeasured)}" for row in rows if row.unmeasured]
    if missing:
        yield f"Left out of a regression, because the distance is not known: {'; '.join(missing)}."


def _changes(degradation: Degradation) -> Iterator[str]:
    """The changes that are significant over families and, where there are several seeds, over
    these too."""
    rows = [(row, row.change) for row in degradation.over_all if row.change]
    if not rows:
        return
    name = degradation.intermediate
    sure = [(row, change) for row, change in rows if row.has_change]
    unsure = [row.kind for row, change in rows if change.excludes_zero and not row.has_change]
    if not sure:
        yield f"Intermediate training on {name} changes none of these slopes significantly."
    for verb, sign in (("less", -1), ("more", 1)):
        group = [(row, change) for row, change in sure if change.value * sign > 0]
        if group:
            parts = "; ".join(_part(row, change, row.over_seeds) for row, change in group)
            caution = " This compares single models; another seed could say otherwise."
            of_one = "" if group[0][0].over_seeds else caution
            yield f"With {name} the gap grows {verb} with distance: {parts}.{of_one}"
    if unsure:
        kinds = ", ".join(unsure)
        yield f"The change by {kinds} distance after {name} may be noise between seeds."


def _losers(degradation: Degradation, compared: str) -> Iterator[str]:
    """The languages that lose, unless the report has named them for these trials already."""
    losers, seeds = degradation.losers, degradation.num_seeds
    if not losers or (degradation.measured_on == compared and seeds == 1):
        return
    named = [f"{cell.task} {cell.language} {points(cell.gain)}" for cell in losers[:MAX_NAMED]]
    more = f" and {len(losers) - MAX_NAMED} more" if len(losers) > MAX_NAMED else ""
    means = f", means over {seeds} seeds" if seeds > 1 else ""
    yield (
        f"Languages that lose with {degradation.intermediate} "
        f"({degradation.measured_on}{means}): {', '.join(named)}{more}."
    )


def _by_source(groups: SourceLanguages | None) -> Iterator[str]:
    if groups is None:
        return
    english, other, difference = groups.english, groups.other, groups.difference
    between = f" ({difference.unknown})"
    if difference.low is not None:
        significance = "" if difference.excludes_zero else ", not significant"
        low, high = points(difference.low), points(difference.high)
        between = f" (95 % interval over the seeds {low} to {high}{significance})"
    yield (
        f"Intermediate sources in English ({', '.join(english.intermediates)}) gain "
        f"{points(english.gain)} points on average, those in other languages "
        f"({', '.join(other.intermediates)}) {points(other.gain)}: a difference of "
        f"{points(difference.mean)}{between}."
    )


def _part(row: SlopeRow, slope: Slope, over_seeds: Interval | None = None) -> str:
    """`syntactic (+12.3 points from de to zh, 95 % interval +4.0 to +20.1)`; of a change, with the
    interval over the seeds where there is one."""
    low, high = _scaled(slope.low, row.span), _scaled(slope.high, row.span)
    between = f"from {' to '.join(ends(row))}, 95 % interval {points(low)} to {points(high)}"
    if over_seeds is not None:
        low, high = _scaled(over_seeds.low, row.span), _scaled(over_seeds.high, row.span)
        between += f", over seeds {points(low)} to {points(high)}"
    return f"{row.kind} ({points(slope.value * row.span)} points {between})"


def _interval(slope: Slope | None, span: float, *, is_bold: bool | None = None) -> Text:
    """A slope over its span in points, its interval below; bold where it is significant, unless
    `is_bold` says otherwise."""
    if slope is None:
        return Text("–")
    is_bold = slope.excludes_zero if is_bold is None else is_bold
    text = Text(points(slope.value * span), style="bold" if is_bold else "")
    if slope.unknown:
        return text.append("\nno interval", style="dim")
    low, high = _scaled(slope.low, span), _scaled(slope.high, span)
    return text.append(f"\n{points(low)} … {points(high)}", style="dim")


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _scatter(row: SlopeRow, degradation: Degradation) -> Scatter:
    """One picture: axes in their own units, points and lines in pixels."""
    cells = [
        cell
        for cell in degradation.languages
        if cell.task in degradation.counted and row.kind in cell.distances
    ]
    x = _by_language((cell.language, cell.distances[row.kind]) for cell in cells)
    slopes = {side: slope for side in SIDES if (slope := row.slope(side)) is not None}
    sides = {side: _gaps(cells, side) for side in slopes}
    gaps = [gap for side in sides.values() for gap in side.values()]
    across = _scale(x.values(), MARGIN, WIDTH - MARGIN / 2)
    down = _scale(gaps, HEIGHT - MARGIN, MARGIN / 2)
    first, last = min(x.values()), max(x.values())
    lines = {}
    for side, by_language in sides.items():
        middle, level = fmean(x[code] for code in by_language), fmean(by_language.values())
        lines[side] = [
            (across(end), down(level + slopes[side].value * (end - middle)))
            for end in (first, last)
        ]
    return Scatter(
        kind=row.kind,
        across=(first, last),
        down=(min(gaps), max(gaps)),
        points={
            side: [(code, across(x[code]), down(gap)) for code, gap in by_language.items()]
            for side, by_language in sides.items()
        },
        lines=lines,
    )


def _gaps(cells: Sequence[GapCell], side: Side) -> dict[str, float]:
    """Language -> its gap, moved as `scatters` says; where no target has a source score, the
    distance from the mean score."""
    scores = [(c.task, c.language, score) for c in cells if (score := c.score(side)) is not None]
    tasks = {task for task, _, _ in scores}
    level = {task: fmean(score for of, _, score in scores if of == task) for task in tasks}
    known = [gap for cell in cells if (gap := cell.gap(side)) is not None]
    middle = fmean(known) if known else 0.0
    return _by_language(
        (language, middle + level[task] - score) for task, language, score in scores
    )


def _by_language(values: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Language -> the mean of its values."""
    by_language: dict[str, list[float]] = {}
    for language, value in values:
        by_language.setdefault(language, []).append(value)
    return {language: fmean(of_language) for language, of_language in by_language.items()}


def _scale(values: Iterable[float], first: float, last: float) -> Callable[[float], float]:
    """The map from values to pixels: the lowest to `first`, the highest to `last`."""
    known = list(values)
    low, width = min(known), (max(known) - min(known)) or 1.0
    return lambda value: round(first + (last - first) * (value - low) / width, 1)
