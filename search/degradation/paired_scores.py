"""What a study says of training without and with an intermediate phase: the scores of each side,
seed by seed. From the record alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.record.reader import BASELINE, TWIN, WINNER, RetrainRow, StudyRecord
from search.stats.intervals import mean_interval
from search.trials.gains import (
    BySeed,
    gain_json,
    interval_json,
    scores_by_seed,
    seed_gains,
    side_by_side,
)
from search.trials.ranking import TrialRow, best_baseline, ranked
from trainables.scoring.scores import Scores, protocol_differences


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedScores:
    """Scores without and with an intermediate phase, of the same seeds in the same order where
    both sides have some. `after` is empty where no trial has an intermediate phase. `measured_on`
    says which trials and rows these are."""

    measured_on: str
    intermediate: str | None
    before: tuple[Scores, ...]
    after: tuple[Scores, ...]


def paired_scores_of(record: StudyRecord) -> PairedScores | None:
    """The last retrain of a winner that has an intermediate phase, since its seeds are fresh and
    its rows those of the test split; else the best trial that has one, beside the best baseline.
    None without a baseline. Every scored seed is there, one that collapsed too."""
    return _retrained(record) or _searched(record.rows)


def retrain_sides(record: StudyRecord) -> dict[str, dict[str, dict[int, RetrainRow]]]:
    """Retrain -> role -> seed -> its run, of the runs that are of one piece.

    A retrain again on other rows, with fewer seeds, leaves runs of the one before. Its first seed
    is always trained again, so that runs that are not made as that one is are left out.
    """
    found: dict[str, dict[str, dict[int, RetrainRow]]] = {}
    for name in dict.fromkeys(run.name for run in record.retrains):
        runs = [run for run in record.retrains if run.name == name]
        first = next((run for run in runs if run.scores is not None), runs[0])
        roles = found.setdefault(name, {})
        for run in runs:
            if _is_made_alike(run, first):
                roles.setdefault(run.role, {})[run.seed] = run
    return found


def scores_of(runs: Mapping[int, RetrainRow]) -> BySeed:
    """The scores of the runs that have some."""
    return {seed: run.scores for seed, run in runs.items() if run.scores is not None}


def of_retrains(record: StudyRecord) -> list[dict[str, Any]]:
    """Each retrain: its roles over the seeds, the winner's gains over the others seed by seed, and
    the verdicts by language."""
    languages = {s.get("name"): s.get("languages", []) for s in record.retrain_summaries}
    found = []
    for name, roles in retrain_sides(record).items():
        scored = {role: scores_of(runs) for role, runs in roles.items()}
        winner = scored.get(WINNER, {})
        gains = {role: seed_gains(winner, scored.get(role, {})) for role in (BASELINE, TWIN)}
        found.append(
            {
                "name": name,
                "seeds": [seed for seed in winner if seed in scored.get(BASELINE, {})],
                "gain": gain_json(gains[BASELINE]),
                "gain_over_twin": gain_json(gains[TWIN]),
                "languages": languages.get(name, []),
                "num_failed": {role: len(runs) - len(scored[role]) for role, runs in roles.items()},
                **{
                    role: interval_json(mean_interval([s.zero_shot_mean for s in side.values()]))
                    for role, side in scored.items()
                    if side
                },
            }
        )
    return found


def _is_made_alike(run: RetrainRow, first: RetrainRow) -> bool:
    """By their locks, where they say one, and by what their scores are of."""
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
        winner, baseline = (roles.get(role, {}) for role in (WINNER, BASELINE))
        before, after = side_by_side(scores_of(baseline), scores_of(winner))
        stem = next((run.plan.intermediate for run in winner.values()), None)
        if before and after and stem is not None:
            return PairedScores(
                measured_on=f"retrain {name!r}",
                intermediate=stem.mixture.short,
                before=before,
                after=after,
            )
    return None
