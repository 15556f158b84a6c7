"""Where transfer is lost: the gap of each language, without and with intermediate training, and
how both grow with the language's distance from the source language. Pure.

Distances are looked up by an argument, and not at all where too few languages were scored.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

from search.degradation.paired_scores import PairedScores
from search.degradation.slopes import Slope, has_slope, slope_of, slope_value
from search.degradation.typology import family_of
from search.stats.intervals import (
    Interval,
    grouped_difference,
    paired_difference,
    unpaired_difference,
)
from search.trials.gains import collapsed_counts, scores_by_seed, side_by_side
from search.trials.ranking import TrialRow, best_baseline
from spaces.languages import known_language
from spaces.refusal import Refusal
from spaces.task_catalog import TaskKind, get_task
from trainables.scoring.scores import Mark, Scores, TargetScores

Json = dict[str, Any]
Levels = Mapping[tuple[str, str], float]  # (task, language) -> score
# (source language, languages) -> kind -> language -> distance; what is not known is left out
Lookup = Callable[[str, Sequence[str]], Mapping[str, Mapping[str, float]]]

MIN_LANGUAGES = 5
FERTILITY = "fertility"


def degradation(sides: PairedScores | None, *, lookup: Lookup) -> Json:
    """Gaps by language and their slopes on each distance, as JSON values; scores in [0, 1].

    `languages` has a cell for each target and zero-shot language: `before` and `after` are scores,
    `gap_...` the source score minus that. `slopes` has one entry for each distance over all counted
    targets (`task` None) and, where there are several, for each target: the slopes of the gap
    `before` and `after`, their `change`, and that of the `gain`, which is the change with its sign
    turned: a level of the source language moves no slope. Their intervals are over families of
    languages; `over_seeds` is that of the change over the seeds, for these languages, where both
    sides have several. `is_established` says whether neither has room for no change. `unknown`
    says why nothing is regressed.
    """
    if sides is None:
        return _nothing("No baseline that did not collapse: there is no gap to compare.")
    cells = _cells(sides)
    counted, left_out = _counted(sides)
    inside = [cell for cell in cells if cell["task"] in counted]
    num = len({cell["language"] for cell in inside})
    found = _nothing(None) | {
        "measured_on": sides.measured_on,
        "intermediate": sides.intermediate,
        "num_seeds": len(sides.before),
        "num_languages": num,
        "counted": sorted(counted),
        "left_out": left_out,
        "collapsed": {
            "before": collapsed_counts(sides.before),
            "after": collapsed_counts(sides.after),
        },
        "languages": cells,
        "losers": _losers(cells),
    }
    if num < MIN_LANGUAGES:
        return found | {"unknown": _too_few(num, left_out)}
    try:
        _measure(cells, lookup)
    except Refusal as error:
        return found | {"unknown": f"Not regressed on distance: {error}."}
    scopes: dict[str | None, list[Json]] = {None: inside}
    tasks = dict.fromkeys(cell["task"] for cell in cells)
    if len(tasks) > 1:
        scopes |= {task: [cell for cell in cells if cell["task"] == task] for task in tasks}
    runs = (_levels(sides.before), _levels(sides.after))
    slopes = [
        _regressed(task, kind, members, runs)
        for task, members in scopes.items()
        for kind in dict.fromkeys(kind for cell in members for kind in cell["distances"])
    ]
    return found | {"slopes": slopes}


def by_language_of_intermediate(rows: Sequence[TrialRow]) -> Json | None:
    """English against other intermediate sources: the mean gain of each group, each intermediate
    at its best setting, by zero-shot language. Masked text beside a task is no source of its own.

    Args:
        rows: scored trials, the best first; collapsed ones are left out by the caller.

    Returns:
        None where the study has not both; `difference` is that of the others from the English
        ones. Its interval is over seeds, the languages being what they are: without several seeds
        of each intermediate it has none, and `unknown` says so. What all languages of a model
        share does not cancel, so that an interval over languages would say nothing.
    """
    baseline = best_baseline(rows)
    if baseline is None:
        return None
    groups: dict[str, dict[str, TrialRow]] = {"english": {}, "other": {}}
    for row in rows:
        group = _group(row)
        if group is not None:
            assert row.plan.intermediate is not None
            groups[group].setdefault(str(row.plan.intermediate.mixture), row)
    if not all(groups.values()):
        return None
    gains = {group: _mean_gains(rows, baseline, of.values()) for group, of in groups.items()}
    both = sorted(gains["english"].keys() & gains["other"].keys())
    if not both:
        return None
    mean = {group: fmean(gains[group][code] for code in both) for group in groups}
    seeds = {
        group: [_means_of_seeds(rows, baseline, row, both) for row in of.values()]
        for group, of in groups.items()
    }
    over_seeds = grouped_difference(
        *([of for of in seeds[group] if of] for group in ("other", "english"))
    )
    return {
        **{
            group: {
                "intermediates": list(of),
                "gain": mean[group],
                "languages": {code: gains[group][code] for code in both},
            }
            for group, of in groups.items()
        },
        "difference": _around(mean["other"] - mean["english"], over_seeds),
    }


def _nothing(why: str | None) -> Json:
    return {
        "measured_on": None,
        "intermediate": None,
        "num_seeds": 0,
        "num_languages": 0,
        "min_languages": MIN_LANGUAGES,
        "counted": [],
        "left_out": [],
        "collapsed": {"before": {}, "after": {}},
        "languages": [],
        "losers": [],
        "slopes": [],
        "unknown": why,
    }


def _too_few(num: int, left_out: Sequence[str]) -> str:
    if not num:
        return f"Not regressed on distance: {', '.join(left_out)} at chance on one side."
    return (
        f"Not regressed on distance: {num} zero-shot language{'' if num == 1 else 's'} scored, and "
        f"a slope over fewer than {MIN_LANGUAGES} says nothing."
    )


def _cells(sides: PairedScores) -> list[Json]:
    """Each target in each zero-shot language, means over the seeds."""
    after = _by_task(sides.after)
    cells: list[Json] = []
    for task, before in _by_task(sides.before).items():
        source = before[0].source_language
        for language in before[0].zero_shot:
            first = _score(before, language)
            second = _score(after.get(task, []), language)
            fertility = before[0].fertility.get(language)
            cells.append(
                {
                    "task": task,
                    "source_language": source,
                    "language": language,
                    "before": first,
                    "after": second,
                    "gain": _minus(second, first),
                    "gap_before": _minus(_score(before, source), first),
                    "gap_after": _minus(_score(after.get(task, []), source), second),
                    FERTILITY: fertility,
                    "fertility_unit": _unit(language),
                    "distances": {},
                }
            )
    return cells


def _unit(language: str) -> str:
    """What fertility counts the tokens of, as trainables.features.fertility does."""
    known = known_language(language)
    return "character" if known and not known.has_spaces else "word"


def _by_task(scores: Iterable[Scores]) -> dict[str, list[TargetScores]]:
    found: dict[str, list[TargetScores]] = {}
    for target in (target for each in scores for target in each.targets):
        found.setdefault(target.task, []).append(target)
    return found


def _score(targets: Sequence[TargetScores], language: str) -> float | None:
    values = [t.by_language[language] for t in targets if language in t.by_language]
    return fmean(values) if values else None


def _minus(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first - second


def _counted(sides: PairedScores) -> tuple[set[str], list[str]]:
    """The objective targets that say something of a gap, and those that were not learned on one
    side: a gap at chance is none."""
    silent = _silent(sides.before) | _silent(sides.after)
    return _objectives(sides) - silent, sorted(silent)


def _objectives(sides: PairedScores) -> set[str]:
    return {t.task for one in (*sides.before, *sides.after) for t in one.objective_targets}


def _silent(scores: Sequence[Scores]) -> set[str]:
    """The objective targets that most seeds did not learn (at chance, or collapsed); a seed in the
    minority counts as it is."""
    marks: dict[str, list[bool]] = {}
    for target in (target for one in scores for target in one.objective_targets):
        marks.setdefault(target.task, []).append(target.mark is not Mark.NONE)
    return {task for task, of in marks.items() if 2 * sum(of) > len(of)}


def _losers(cells: Sequence[Json]) -> list[Json]:
    """Cells that intermediate training makes worse, the worst first."""
    lost = [cell for cell in cells if cell["gain"] is not None and cell["gain"] < 0]
    return [
        {name: cell[name] for name in ("task", "language", "gain")}
        for cell in sorted(lost, key=lambda cell: cell["gain"])
    ]


def _measure(cells: Sequence[Json], lookup: Lookup) -> None:
    """Write the distances into the cells. Fertility counts as one, by words alone: tokens of a
    character do not compare with tokens of a word."""
    found = {
        source: lookup(source, sorted({c["language"] for c in cells}))
        for source in {cell["source_language"] for cell in cells}
    }
    for cell in cells:
        for kind, by_language in found[cell["source_language"]].items():
            if cell["language"] in by_language:
                cell["distances"][kind] = by_language[cell["language"]]
        if cell[FERTILITY] is not None and cell["fertility_unit"] == "word":
            cell["distances"][FERTILITY] = cell[FERTILITY]


def _levels(scores: Iterable[Scores]) -> list[Levels]:
    """The zero-shot scores of each run."""
    return [
        {(t.task, language): score for t in run.targets for language, score in t.zero_shot.items()}
        for run in scores
    ]


def _regressed(
    task: str | None, kind: str, cells: Sequence[Json], runs: tuple[list[Levels], list[Levels]]
) -> Json:
    """The slopes of one kind of distance; none of them where too few languages have it."""
    there = [cell for cell in cells if kind in cell["distances"]]
    x = [cell["distances"][kind] for cell in there]
    groups, units = [c["task"] for c in there], [c["language"] for c in there]
    near = min(there, key=lambda cell: cell["distances"][kind])
    far = max(there, key=lambda cell: cell["distances"][kind])
    found: Json = {
        "task": task,
        "kind": kind,
        "num_languages": len(set(units)),
        "unmeasured": sorted({cell["language"] for cell in cells} - set(units)),
        "nearest": near["language"],
        "farthest": far["language"],
        "span": far["distances"][kind] - near["distances"][kind],
        **dict.fromkeys(("before", "after", "change", "gain", "over_seeds")),
        "is_established": False,
    }
    if len(set(units)) < MIN_LANGUAGES or not has_slope(x, groups):
        return found
    families = [family_of(language) for language in units]

    def slope(y: Sequence[float]) -> Slope:
        return slope_of(x, y, groups=groups, units=units, families=families)

    # Minus the score stands for the gap: the source score is the same for all of a target.
    found["before"] = _json(slope([-cell["before"] for cell in there]))
    if all(cell["after"] is not None for cell in there):
        gain = slope([cell["gain"] for cell in there])
        found["after"] = _json(slope([-cell["after"] for cell in there]))
        found |= {"gain": _json(gain), "change": _json(gain.reversed())}
        over_seeds = _change_over_seeds(x, there, groups, runs)
        if over_seeds is not None:
            found["over_seeds"] = _json(over_seeds)
            found["is_established"] = gain.excludes_zero and over_seeds.excludes_zero
    return found


def _change_over_seeds(
    x: Sequence[float],
    cells: Sequence[Json],
    groups: Sequence[str],
    runs: tuple[list[Levels], list[Levels]],
) -> Interval | None:
    """Of the change, for these languages: the slope of each run, seed by seed where both sides have
    as many; None where a side has one run alone, or a run lacks a language."""
    places = [(cell["task"], cell["language"]) for cell in cells]
    whole = all(place in run for side in runs for run in side for place in places)
    if not whole or any(len(side) < 2 for side in runs):
        return None
    before, after = (
        [slope_value(x, [-run[place] for place in places], groups) for run in side] for side in runs
    )
    compare = paired_difference if len(before) == len(after) else unpaired_difference
    return compare(after, before)


def _json(found: Slope | Interval) -> Json:
    return {**asdict(found), "excludes_zero": found.excludes_zero}


def _group(row: TrialRow) -> str | None:
    """Whether all sources of the intermediate are English, or none is; None of other mixtures."""
    if row.plan.intermediate is None:
        return None
    sources = row.plan.intermediate.mixture.sources
    codes = {s.language for s in sources if get_task(s.task).kind is not TaskKind.MLM}
    if codes == {"en"}:
        return "english"
    return "other" if codes and "en" not in codes else None


def _gaining(
    rows: Sequence[TrialRow], baseline: TrialRow, row: TrialRow
) -> tuple[PairedScores, set[str]]:
    """The seeds of a setting beside the baseline's, and the targets whose gain counts."""
    before, after = side_by_side(scores_by_seed(rows, baseline), scores_by_seed(rows, row))
    sides = PairedScores(measured_on="", intermediate=None, before=before, after=after)
    # What one side alone did not learn is gained or lost.
    return sides, _objectives(sides) - (_silent(before) & _silent(after))


def _mean_gains(
    rows: Sequence[TrialRow], baseline: TrialRow, members: Iterable[TrialRow]
) -> dict[str, float]:
    """Zero-shot language -> the mean gain over the members and their counted targets."""
    gains: dict[str, list[float]] = {}
    for row in members:
        sides, counted = _gaining(rows, baseline, row)
        for cell in _cells(sides):
            if cell["task"] in counted and cell["gain"] is not None:
                gains.setdefault(cell["language"], []).append(cell["gain"])
    return {language: fmean(values) for language, values in gains.items()}


def _means_of_seeds(
    rows: Sequence[TrialRow], baseline: TrialRow, row: TrialRow, languages: Sequence[str]
) -> list[float]:
    """The mean over the languages and their counted targets of each seed of a setting; nothing
    where no target counts."""
    sides, counted = _gaining(rows, baseline, row)
    means = []
    for levels in _levels(sides.after):
        by_language: dict[str, list[float]] = {}
        for (task, language), score in levels.items():
            if task in counted and language in languages:
                by_language.setdefault(language, []).append(score)
        if by_language:
            means.append(fmean(fmean(values) for values in by_language.values()))
    return means


def _around(mean: float, interval: Interval) -> Json:
    """An interval as wide as this one, around the mean."""
    found = {"mean": mean, "low": None, "high": None, "excludes_zero": False, "unknown": None}
    half = interval.half_width
    if half is None:
        return found | {"unknown": "single models: without several seeds of each it may be noise"}
    low, high = mean - half, mean + half
    return found | {"low": low, "high": high, "excludes_zero": not low <= 0 <= high}
