"""Where transfer is lost, in words, as a table, and as the points of a picture. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from rich.table import Table
from rich.text import Text

from search.degradation.typology import SCRIPT
from search.display.number_format import points
from search.display.tables import titled_table

Json = dict[str, Any]

WIDTH, HEIGHT, MARGIN = 300, 200, 34  # of a scatter, in pixels
NUMBERS = ("value", "low", "high")
SIDES = ("before", "after", "change")


def degradation_sentences(found: Json) -> list[str]:
    """How the gap grows with distance, what intermediate training changes of it, who loses."""
    return [
        *_growth(found["degradation"]),
        *_changes(found["degradation"]),
        *_losers(found),
        *_by_source(found["degradation"]["intermediate_languages"]),
    ]


def slope_table(found: Json) -> Table:
    """A row for each distance, over all counted targets; no rows where nothing was regressed."""
    degradation = found["degradation"]
    table = titled_table(
        f"Gap from near to far languages ({degradation['measured_on']})",
        caption="points, 95 % intervals over families of languages, bold where zero is outside; "
        "rank: gap (without) by distance",
    )
    table.add_column("distance", no_wrap=True)
    table.add_column("from, to (of)")
    for name in ("without", "with", "change", "rank"):
        table.add_column(name, justify="right")
    for row in over_all(degradation):
        told = {side: bool(row[side] and row[side]["excludes_zero"]) for side in SIDES}
        told["change"] &= row["is_established"] or row["over_seeds"] is None
        slopes = (_interval(row[side], row["span"], is_told=told[side]) for side in SIDES)
        rank = row["before"]["rank"]
        table.add_row(
            row["kind"],
            f"{', '.join(ends(row))} ({row['num_languages']})",
            *slopes,
            "–" if rank is None else f"{rank:+.2f}".replace("-", "−"),
        )
    return table


def over_all(degradation: Json) -> list[Json]:
    """The regressions over all counted targets that there were enough languages for."""
    return [row for row in degradation["slopes"] if row["task"] is None and row["before"]]


def ends(row: Json) -> tuple[str, str]:
    """Between what a slope is shown: the nearest and the farthest language."""
    return ("same", "other") if row["kind"] == SCRIPT else (row["nearest"], row["farthest"])


def scatters(found: Json) -> list[Json]:
    """For each distance, the gap of every language against it: pixels of a WIDTH by HEIGHT
    picture, and lines through the means with the slopes of the regression.

    A gap is the mean over the counted targets, each of them moved to the mean of all: targets are
    scored in different languages, and a hard one would else look like a far language.
    """
    degradation = found["degradation"]
    return [_scatter(row, degradation) for row in over_all(degradation)]


def _growth(degradation: Json) -> Iterator[str]:
    if degradation["unknown"]:
        yield degradation["unknown"]
        return
    rows = over_all(degradation)
    if not rows:
        yield (
            "Not regressed on distance: no distance is known, and varies, over "
            f"{degradation['min_languages']} zero-shot languages."
        )
        return
    parts = _parts([row for row in rows if row["before"]["excludes_zero"]], "before")
    num, tasks = degradation["num_languages"], ", ".join(degradation["counted"])
    if parts:
        yield (
            f"Without intermediate training the gap of {tasks} changes, over {num} zero-shot "
            f"languages, with distance: {parts}."
        )
    else:
        names = ", ".join(row["kind"] for row in rows)
        yield (
            f"Without intermediate training the gap of {tasks} does not depend significantly on "
            f"distance, over {num} zero-shot languages ({names})."
        )
    if degradation["left_out"]:
        silent = ", ".join(degradation["left_out"])
        yield f"Not counted there, because one side is at chance: {silent}."
    yield from _unmeasured(rows)
    yield from _unsure(rows)


def _unsure(rows: Sequence[Json]) -> Iterator[str]:
    """Why distances have no interval, those of one reason together."""
    kinds: dict[str, list[str]] = {}
    for row in rows:
        if row["before"]["unknown"]:
            kinds.setdefault(row["before"]["unknown"], []).append(row["kind"])
    for why, names in kinds.items():
        kinds_named = ", ".join(names)
        yield f"An interval needs several families; these have none: {kinds_named} ({why})."


def _unmeasured(rows: Sequence[Json]) -> Iterator[str]:
    missing = [f"{row['kind']} {' '.join(row['unmeasured'])}" for row in rows if row["unmeasured"]]
    if missing:
        yield f"Left out of a regression, because the distance is not known: {'; '.join(missing)}."


def _changes(degradation: Json) -> Iterator[str]:
    """What can be told of the change from none over families, and, where there are several seeds,
    over these too."""
    rows = [row for row in over_all(degradation) if row["change"]]
    if not rows:
        return
    name = degradation["intermediate"]
    told = [row for row in rows if row["change"]["excludes_zero"]]
    sure = [row for row in told if row["is_established"] or row["over_seeds"] is None]
    if not sure:
        yield f"Intermediate training on {name} changes none of these slopes significantly."
    for verb, sign in (("less", -1), ("more", 1)):
        some = [row for row in sure if row["change"]["value"] * sign > 0]
        parts = _parts(some, "change")
        if parts:
            caution = " This compares single models; another seed could say otherwise."
            of_one = "" if some[0]["over_seeds"] else caution
            yield f"With {name} the gap grows {verb} with distance: {parts}.{of_one}"
    if len(sure) < len(told):
        kinds = ", ".join(row["kind"] for row in told if row not in sure)
        yield f"The change by {kinds} distance after {name} may be noise between seeds."


def _losers(found: Json) -> Iterator[str]:
    """Only where the sentence on the best trial does not say the same."""
    degradation, best, baseline = found["degradation"], found["best"], found["baseline"]
    lost = degradation["losers"]
    if not lost:
        return
    plain = f"trial {best['number']} beside trial {baseline['number']}" if baseline else ""
    if degradation["measured_on"] == plain and degradation["num_seeds"] == 1:
        return
    named = [f"{cell['task']} {cell['language']} {points(cell['gain'])}" for cell in lost[:8]]
    more = f" and {len(lost) - 8} more" if len(lost) > 8 else ""
    seeds = degradation["num_seeds"]
    means = f", means over {seeds} seeds" if seeds > 1 else ""
    yield (
        f"Languages that lose with {degradation['intermediate']} "
        f"({degradation['measured_on']}{means}): {', '.join(named)}{more}."
    )


def _by_source(groups: Json | None) -> Iterator[str]:
    if groups is None:
        return
    english, other, difference = groups["english"], groups["other"], groups["difference"]
    between = f" ({difference['unknown']})"
    if difference["low"] is not None:
        told = "" if difference["excludes_zero"] else ", not significant"
        low, high = points(difference["low"]), points(difference["high"])
        between = f" (95 % interval over the seeds {low} to {high}{told})"
    yield (
        f"Intermediate sources in English ({', '.join(english['intermediates'])}) gain "
        f"{points(english['gain'])} points on average, those in other languages "
        f"({', '.join(other['intermediates'])}) {points(other['gain'])}: a difference of "
        f"{points(difference['mean'])}{between}."
    )


def _parts(rows: Sequence[Json], side: str) -> str:
    """`syntactic (+12.3 points from de to zh, 95 % interval +4.0 to +20.1); genetic (...)`."""
    parts = []
    for row in rows:
        value, low, high = (points(row[side][name] * row["span"]) for name in NUMBERS)
        between = f"from {' to '.join(ends(row))}, 95 % interval {low} to {high}"
        if side == "change" and row["over_seeds"]:
            ends_of = (points(row["over_seeds"][name] * row["span"]) for name in ("low", "high"))
            between += f", over seeds {' to '.join(ends_of)}"
        parts.append(f"{row['kind']} ({value} points {between})")
    return "; ".join(parts)


def _interval(slope: Mapping[str, Any] | None, span: float, *, is_told: bool) -> Text:
    if slope is None:
        return Text("–")
    text = Text(points(slope["value"] * span), style="bold" if is_told else "")
    if slope["unknown"]:
        return text.append("\nno interval", style="dim")
    low, high = (points(slope[name] * span) for name in ("low", "high"))
    return text.append(f"\n{low} … {high}", style="dim")


def _scatter(row: Json, degradation: Json) -> Json:
    """One picture: axes in their own units, points and lines in pixels."""
    kind = row["kind"]
    cells = [
        cell
        for cell in degradation["languages"]
        if cell["task"] in degradation["counted"] and kind in cell["distances"]
    ]
    x = _by_language((cell["language"], cell["distances"][kind]) for cell in cells)
    sides = {side: _gaps(cells, side) for side in ("before", "after") if row[side]}
    gaps = [gap for side in sides.values() for gap in side.values()]
    across = _scale(x.values(), MARGIN, WIDTH - MARGIN / 2)
    down = _scale(gaps, HEIGHT - MARGIN, MARGIN / 2)
    lines = {}
    for side, of in sides.items():
        middle, level, slope = fmean(x[code] for code in of), fmean(of.values()), row[side]["value"]
        ends = (min(x.values()), max(x.values()))
        lines[side] = [(across(end), down(level + slope * (end - middle))) for end in ends]
    return {
        "kind": kind,
        "across": (min(x.values()), max(x.values())),
        "down": (min(gaps), max(gaps)),
        "points": {
            side: [(code, across(x[code]), down(gap)) for code, gap in of.items()]
            for side, of in sides.items()
        },
        "lines": lines,
    }


def _gaps(cells: Sequence[Json], side: str) -> dict[str, float]:
    """Language -> its gap, moved as `scatters` says; where no source score is known of any target,
    the distance from the mean score."""
    there = [cell for cell in cells if cell[side] is not None]
    tasks = {cell["task"] for cell in there}
    level = {task: fmean(c[side] for c in there if c["task"] == task) for task in tasks}
    known = [cell[f"gap_{side}"] for cell in there if cell[f"gap_{side}"] is not None]
    middle = fmean(known) if known else 0.0
    return _by_language((c["language"], middle + level[c["task"]] - c[side]) for c in there)


def _by_language(values: Iterable[tuple[str, float]]) -> dict[str, float]:
    """The mean of each language's values."""
    found: dict[str, list[float]] = {}
    for language, value in values:
        found.setdefault(language, []).append(value)
    return {language: fmean(of) for language, of in found.items()}


def _scale(values: Iterable[float], first: float, last: float) -> Callable[[float], float]:
    """From values to pixels: the lowest to `first`, the highest to `last`."""
    known = list(values)
    low, width = min(known), (max(known) - min(known)) or 1.0
    return lambda value: round(first + (last - first) * (value - low) / width, 1)
