"""Where transfer is lost: the gap of each language, without and with intermediate training, and
how both grow with the language's distance from the source language. Pure.

Distances are looked up by an argument, and only where enough languages were scored.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from search.degradation.cells import (
    Levels,
    gap_cells,
    objective_targets,
    silent_targets,
    zero_shot_levels,
)
from search.degradation.findings import (
    MIN_LANGUAGES,
    CollapsedSides,
    Degradation,
    GapCell,
    LosingCell,
    SlopeRow,
    SourceLanguages,
)
from search.degradation.paired_scores import PairedScores
from search.degradation.slopes import Slope, has_slope, slope_of, slope_value
from search.degradation.typology import family_of
from search.stats.intervals import Interval, paired_difference, unpaired_difference
from search.trials.gains import collapsed_counts
from spaces.refusal import Refusal

# (source language, languages) -> kind -> language -> distance; what is not known is left out
Lookup = Callable[[str, Sequence[str]], Mapping[str, Mapping[str, float]]]

FERTILITY = "fertility"


def degradation(
    sides: PairedScores | None,
    *,
    lookup: Lookup,
    intermediate_languages: SourceLanguages | None = None,
) -> Degradation:
    """Gaps by language and their slopes on each distance; scores in [0, 1].

    There is one slope row for each distance over all counted targets and, where there are several
    targets, one for each target. A slope's interval is over families of languages, that of its
    change over the seeds as well. The level of the source language changes no slope.

    Args:
        sides: None where there is no baseline.
        intermediate_languages: English intermediate sources beside others, kept as they are.
    """
    if sides is None:
        nothing = Degradation.unmeasured(
            "No baseline that did not collapse: there is no gap to compare."
        )
        return replace(nothing, intermediate_languages=intermediate_languages)
    cells, unknown = gap_cells(sides), None
    silent = silent_targets(sides.before) | silent_targets(sides.after)
    counted = objective_targets(sides) - silent
    num = len({cell.language for cell in cells if cell.task in counted})
    if num < MIN_LANGUAGES:
        unknown = _too_few(num, sorted(silent))
    else:
        try:
            cells = _measured(cells, lookup)
        except Refusal as error:
            unknown = f"Not regressed on distance: {error}."
    return Degradation(
        measured_on=sides.measured_on,
        intermediate=sides.intermediate,
        num_seeds=len(sides.before),
        num_languages=num,
        counted=tuple(sorted(counted)),
        left_out=tuple(sorted(silent)),
        collapsed=CollapsedSides(
            before=collapsed_counts(sides.before), after=collapsed_counts(sides.after)
        ),
        languages=tuple(cells),
        losers=_losers(cells),
        slopes=() if unknown else _slopes(cells, counted, sides),
        unknown=unknown,
        intermediate_languages=intermediate_languages,
    )


def _too_few(num: int, silent: Sequence[str]) -> str:
    if not num:
        return f"Not regressed on distance: {', '.join(silent)} at chance on one side."
    return (
        f"Not regressed on distance: {num} zero-shot language{'' if num == 1 else 's'} scored, and "
        f"a slope needs at least {MIN_LANGUAGES}."
    )


def _losers(cells: Sequence[GapCell]) -> tuple[LosingCell, ...]:
    """The cells that intermediate training makes worse, the worst first."""
    losing = [
        LosingCell(task=cell.task, language=cell.language, gain=cell.gain)
        for cell in cells
        if cell.gain is not None and cell.gain < 0
    ]
    return tuple(sorted(losing, key=lambda cell: cell.gain))


def _measured(cells: Sequence[GapCell], lookup: Lookup) -> list[GapCell]:
    """The cells with their distances. Fertility counts as a distance where it is by words: tokens
    of a character do not compare with tokens of a word."""
    by_source = {
        source: lookup(source, sorted({c.language for c in cells}))
        for source in {cell.source_language for cell in cells}
    }
    measured = []
    for cell in cells:
        distances = {
            kind: by_language[cell.language]
            for kind, by_language in by_source[cell.source_language].items()
            if cell.language in by_language
        }
        if cell.fertility is not None and cell.fertility_unit == "word":
            distances[FERTILITY] = cell.fertility
        measured.append(replace(cell, distances=distances))
    return measured


def _slopes(
    cells: Sequence[GapCell], counted: set[str], sides: PairedScores
) -> tuple[SlopeRow, ...]:
    scopes: dict[str | None, list[GapCell]] = {None: [c for c in cells if c.task in counted]}
    tasks = dict.fromkeys(cell.task for cell in cells)
    if len(tasks) > 1:
        scopes |= {task: [cell for cell in cells if cell.task == task] for task in tasks}
    runs = (zero_shot_levels(sides.before), zero_shot_levels(sides.after))
    return tuple(
        _slope_row(task, kind, members, runs)
        for task, members in scopes.items()
        for kind in dict.fromkeys(kind for cell in members for kind in cell.distances)
    )


def _slope_row(
    task: str | None,
    kind: str,
    cells: Sequence[GapCell],
    runs: tuple[list[Levels], list[Levels]],
) -> SlopeRow:
    """The slopes on one kind of distance; none of them where too few languages have it."""
    there = [cell for cell in cells if kind in cell.distances]
    x = [cell.distances[kind] for cell in there]
    groups, units = [c.task for c in there], [c.language for c in there]
    near = min(there, key=lambda cell: cell.distances[kind])
    far = max(there, key=lambda cell: cell.distances[kind])
    row = SlopeRow(
        task=task,
        kind=kind,
        num_languages=len(set(units)),
        unmeasured=tuple(sorted({cell.language for cell in cells} - set(units))),
        nearest=near.language,
        farthest=far.language,
        span=far.distances[kind] - near.distances[kind],
    )
    if len(set(units)) < MIN_LANGUAGES or not has_slope(x, groups):
        return row
    families = [family_of(language) for language in units]

    def slope(y: Sequence[float]) -> Slope:
        return slope_of(x, y, groups=groups, units=units, families=families)

    # Minus the score stands for the gap: the source score is the same for all of a target.
    row = replace(row, before=slope([-cell.before for cell in there]))
    after = [cell.after for cell in there if cell.after is not None]
    gains = [cell.gain for cell in there if cell.gain is not None]
    if len(after) < len(there):
        return row
    gain = slope(gains)
    over_seeds = _change_over_seeds(x, there, groups, runs)
    return replace(
        row,
        after=slope([-score for score in after]),
        change=gain.reversed(),
        gain=gain,
        over_seeds=over_seeds,
        is_established=over_seeds is not None and gain.excludes_zero and over_seeds.excludes_zero,
    )


def _change_over_seeds(
    x: Sequence[float],
    cells: Sequence[GapCell],
    groups: Sequence[str],
    runs: tuple[list[Levels], list[Levels]],
) -> Interval | None:
    """The change of the slope over the seeds, for these languages: seed by seed where both sides
    have as many; None where a side has one run alone, or a run lacks a language."""
    keys = [(cell.task, cell.language) for cell in cells]
    is_whole = all(key in run for side in runs for run in side for key in keys)
    if not is_whole or any(len(side) < 2 for side in runs):
        return None
    before, after = (
        [slope_value(x, [-run[key] for key in keys], groups) for run in side] for side in runs
    )
    compare = paired_difference if len(before) == len(after) else unpaired_difference
    return compare(after, before)
