"""English against other intermediate sources: what each group of intermediates gains. Pure."""

from collections.abc import Iterable, Sequence
from statistics import fmean

from search.degradation.cells import (
    gap_cells,
    objective_targets,
    silent_targets,
    zero_shot_levels,
)
from search.degradation.findings import MeanDifference, SourceGroup, SourceLanguages
from search.degradation.paired_scores import PairedScores
from search.stats.intervals import Interval, grouped_difference
from search.trials.gains import scores_by_seed, side_by_side
from search.trials.ranking import TrialRow, best_baseline
from spaces.tasks.task import TaskKind


def by_language_of_intermediate(rows: Sequence[TrialRow]) -> SourceLanguages | None:
    """The mean gain of each group, each intermediate at its best setting, by zero-shot language.
    Masked text beside a task does not count as a source.

    Args:
        rows: scored trials, the best first; the caller leaves collapsed ones out.

    Returns:
        None where the study lacks one of the groups. The interval of the difference is over seeds,
        for these languages: it needs several seeds of each intermediate. An interval over languages
        would say nothing, because what all languages of a model share does not cancel.
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
    gains = {name: _mean_gains(rows, baseline, of.values()) for name, of in groups.items()}
    both = sorted(gains["english"].keys() & gains["other"].keys())
    if not both:
        return None
    seeds = {
        name: [_means_of_seeds(rows, baseline, row, both) for row in of.values()]
        for name, of in groups.items()
    }
    over_seeds = grouped_difference(
        *([means for means in seeds[name] if means] for name in ("other", "english"))
    )
    found = {
        name: SourceGroup(
            intermediates=tuple(of),
            gain=fmean(gains[name][code] for code in both),
            languages={code: gains[name][code] for code in both},
        )
        for name, of in groups.items()
    }
    english, other = found["english"], found["other"]
    return SourceLanguages(
        english=english, other=other, difference=_around(other.gain - english.gain, over_seeds)
    )


def _group(row: TrialRow) -> str | None:
    """Whether all sources of the intermediate are English, or none is; None of other mixtures."""
    if row.plan.intermediate is None:
        return None
    sources = row.plan.intermediate.mixture.sources
    codes = {s.language for s in sources if s.task.kind is not TaskKind.MLM}
    if codes == {"en"}:
        return "english"
    return "other" if codes and "en" not in codes else None


def _gaining(
    rows: Sequence[TrialRow], baseline: TrialRow, row: TrialRow
) -> tuple[PairedScores, set[str]]:
    """The seeds of a setting beside the baseline's, and the targets whose gain counts."""
    before, after = side_by_side(scores_by_seed(rows, baseline), scores_by_seed(rows, row))
    sides = PairedScores(measured_on="", intermediate=None, before=before, after=after)
    # A target that one side alone did not learn is gained or lost; only both exclude it.
    return sides, objective_targets(sides) - (silent_targets(before) & silent_targets(after))


def _mean_gains(
    rows: Sequence[TrialRow], baseline: TrialRow, members: Iterable[TrialRow]
) -> dict[str, float]:
    """Zero-shot language -> the mean gain over the members and their counted targets."""
    gains: dict[str, list[float]] = {}
    for row in members:
        sides, counted = _gaining(rows, baseline, row)
        for cell in gap_cells(sides):
            if cell.task in counted and cell.gain is not None:
                gains.setdefault(cell.language, []).append(cell.gain)
    return {language: fmean(values) for language, values in gains.items()}


def _means_of_seeds(
    rows: Sequence[TrialRow], baseline: TrialRow, row: TrialRow, languages: Sequence[str]
) -> list[float]:
    """The mean over the languages and their counted targets of each seed of a setting; nothing
    where no target counts."""
    sides, counted = _gaining(rows, baseline, row)
    means = []
    for levels in zero_shot_levels(sides.after):
        by_language: dict[str, list[float]] = {}
        for (task, language), score in levels.items():
            if task in counted and language in languages:
                by_language.setdefault(language, []).append(score)
        if by_language:
            means.append(fmean(fmean(values) for values in by_language.values()))
    return means


def _around(mean: float, interval: Interval) -> MeanDifference:
    """An interval as wide as this one, around the mean."""
    half = interval.half_width
    if half is None:
        why = "single models: without several seeds of each it may be noise"
        return MeanDifference(mean=mean, low=None, high=None, unknown=why)
    return MeanDifference(mean=mean, low=mean - half, high=mean + half)
