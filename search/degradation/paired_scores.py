"""A study's scores without and with an intermediate phase, seed by seed; from the record alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, JsonValue

from search.display.json_form import from_json
from search.record.reader import RetrainRole, RetrainRow, StudyRecord
from search.stats.intervals import Interval, mean_interval
from search.trials.gains import BySeed, SeedGain, scores_by_seed, seed_gains, side_by_side
from search.trials.language_verdicts import LanguageVerdict
from search.trials.ranking import TrialRow, best_baseline, ranked
from trainables.scoring.scores import Scores, protocol_differences


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedScores:
    """Scores without and with an intermediate phase: of the same seeds in the same order where the
    sides share some. `after` is empty where no trial has an intermediate phase. `measured_on` names
    the trials or the retrain that the scores come from."""

    measured_on: str
    intermediate: str | None
    before: tuple[Scores, ...]
    after: tuple[Scores, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedGain:
    """The winner's gain in the search, and what was left to expect of it because the winner was
    chosen by its score (winner's curse); in [-1, 1], over the languages that all runs share."""

    searched: float
    """The gain over the best baseline in the search."""
    predicted: float
    """The gain that was expected of fresh seeds."""
    low: float | None = None
    """The lower end of its 95 % interval; null where no plan had two seeds."""
    high: float | None = None
    """The upper end of its 95 % interval; null where no plan had two seeds."""
    falls_out: bool = False
    """Whether the fresh seeds gained less than the interval allows."""


_OptionalRole = Annotated[Interval | None, Field(exclude_if=lambda interval: interval is None)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainFinding:
    """One retrain: its roles over fresh seeds on the test split, scores in [0, 1]."""

    name: str
    """The name of the retrain."""
    seeds: tuple[int, ...]
    """The seeds that both the winner and its baseline have scores of."""
    gain: SeedGain | None
    """The winner's zero-shot mean minus its baseline's; null where one of them has no scores."""
    gain_over_twin: SeedGain | None
    """The winner's zero-shot mean minus that of its twin, the same target phases without the
    intermediate phase; null where one of them has no scores."""
    languages: tuple[LanguageVerdict, ...]
    """The winner against its baseline, one verdict for each target and language."""
    num_failed: Mapping[RetrainRole, int]
    """Role -> how many of its seeds diverged and have no scores."""
    winner: _OptionalRole = None
    """The winner's zero-shot mean over its seeds; left out where none has scores."""
    baseline: _OptionalRole = None
    """The baseline's zero-shot mean over its seeds; left out where none has scores."""
    twin: _OptionalRole = None
    """The twin's zero-shot mean over its seeds; left out where none has scores."""
    label: str | None = None
    """The winner's intermediate mixture in short; null where the winner has none."""
    targets: tuple[str, ...] = ()
    """The targets whose zero-shot languages make these means; empty without a scored winner."""
    expected: ExpectedGain | None = None
    """The gain that was expected of the fresh seeds; null where it was not computed."""

    @property
    def means(self) -> dict[RetrainRole, Interval]:
        """Role -> its zero-shot mean over its seeds, for the roles that have scores."""
        all_roles = zip(RetrainRole, (self.winner, self.baseline, self.twin), strict=True)
        return {role: interval for role, interval in all_roles if interval is not None}


def paired_scores_of(record: StudyRecord) -> PairedScores | None:
    """The last retrain of a winner that has an intermediate phase, since its seeds are fresh and
    its rows those of the test split; else the best trial that has one, beside the best baseline.
    None without a baseline. Every scored seed is there, one that collapsed too."""
    return _retrained(record) or _searched(record.rows)


def retrain_sides(record: StudyRecord) -> dict[str, dict[RetrainRole, dict[int, RetrainRow]]]:
    """Retrain -> role -> seed -> its run, for the runs that belong together.

    A retrain that was repeated on other rows or with fewer seeds leaves runs of the earlier one.
    Its first seed is always trained again: runs that are not made like that one are left out.
    """
    sides: dict[str, dict[RetrainRole, dict[int, RetrainRow]]] = {}
    for name in dict.fromkeys(run.name for run in record.retrains):
        runs = [run for run in record.retrains if run.name == name]
        first = next((run for run in runs if run.scores is not None), runs[0])
        roles = sides.setdefault(name, {})
        for run in runs:
            if _is_made_alike(run, first):
                roles.setdefault(run.role, {})[run.seed] = run
    return sides


def scores_of(runs: Mapping[int, RetrainRow]) -> BySeed:
    """The scores of the runs that have some."""
    return {seed: run.scores for seed, run in runs.items() if run.scores is not None}


def of_retrains(record: StudyRecord) -> tuple[RetrainFinding, ...]:
    """Each retrain, in the order of the record: its roles over the seeds, the winner's gains seed
    by seed, and its verdicts by language. Raises Refusal where a stored verdict cannot be read."""
    summaries = {summary.get("name"): summary for summary in record.retrain_summaries}
    return tuple(
        _of_retrain(record, name, roles, summaries.get(name, {}))
        for name, roles in retrain_sides(record).items()
    )


def _of_retrain(
    record: StudyRecord,
    name: str,
    roles: Mapping[RetrainRole, Mapping[int, RetrainRow]],
    summary: Mapping[str, JsonValue],
) -> RetrainFinding:
    scored = {role: scores_of(roles.get(role, {})) for role in RetrainRole}
    winner, baseline = scored[RetrainRole.WINNER], scored[RetrainRole.BASELINE]
    plan = next((run.plan for run in roles.get(RetrainRole.WINNER, {}).values()), None)
    targets = next((scores.objective_targets for scores in winner.values()), ())
    means = {
        role: mean_interval([scores.zero_shot_mean for scores in side.values()])
        for role, side in scored.items()
        if side
    }
    return RetrainFinding(
        name=name,
        seeds=tuple(seed for seed in winner if seed is not None and seed in baseline),
        gain=seed_gains(winner, baseline),
        gain_over_twin=seed_gains(winner, scored[RetrainRole.TWIN]),
        languages=_verdicts(record, summary.get("languages")),
        num_failed={role: len(runs) - len(scored[role]) for role, runs in roles.items()},
        winner=means.get(RetrainRole.WINNER),
        baseline=means.get(RetrainRole.BASELINE),
        twin=means.get(RetrainRole.TWIN),
        label=plan.intermediate.mixture.short if plan and plan.intermediate else None,
        targets=tuple(target.task for target in targets),
        expected=_expected(record, summary.get("curse")),
    )


def _verdicts(record: StudyRecord, stored: JsonValue) -> tuple[LanguageVerdict, ...]:
    cells = stored if isinstance(stored, list) else []
    return tuple(from_json(LanguageVerdict, cell, where=_where(record)) for cell in cells)


def _expected(record: StudyRecord, stored: JsonValue) -> ExpectedGain | None:
    return None if stored is None else from_json(ExpectedGain, stored, where=_where(record))


def _where(record: StudyRecord) -> str:
    return f"a verdict in the record of study {record.name!r}"


def _is_made_alike(run: RetrainRow, first: RetrainRow) -> bool:
    """Whether two runs have the same lock, where both have one, and the same scoring protocols."""
    if run.lock and first.lock and run.lock != first.lock:
        return False
    if run.scores is None or first.scores is None:
        return True
    return not protocol_differences([*first.scores.targets, *run.scores.targets])


def _searched(rows: Sequence[TrialRow]) -> PairedScores | None:
    order = ranked(rows)
    baseline = best_baseline(order)
    if baseline is None or baseline.scores is None:
        return None
    without = scores_by_seed(order, baseline)
    best = next((row for row in order if row.plan.intermediate is not None), None)
    if best is None or best.plan.intermediate is None:
        named = f"trial {baseline.number}"
        before = tuple(without.values())
        return PairedScores(measured_on=named, intermediate=None, before=before, after=())
    before, after = side_by_side(without, scores_by_seed(order, best))
    return PairedScores(
        measured_on=f"trial {best.number} beside trial {baseline.number}",
        intermediate=best.plan.intermediate.mixture.short,
        before=before,
        after=after,
    )


def _retrained(record: StudyRecord) -> PairedScores | None:
    for name, roles in reversed(retrain_sides(record).items()):
        winner, baseline = (
            roles.get(role, {}) for role in (RetrainRole.WINNER, RetrainRole.BASELINE)
        )
        before, after = side_by_side(scores_of(baseline), scores_of(winner))
        intermediate = next((run.plan.intermediate for run in winner.values()), None)
        if before and after and intermediate is not None:
            return PairedScores(
                measured_on=f"retrain {name!r}",
                intermediate=intermediate.mixture.short,
                before=before,
                after=after,
            )
    return None
