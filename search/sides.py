"""What a study says of training without and with an intermediate phase: the scores of each side,
seed by seed. From the record alone."""

from collections.abc import Sequence
from dataclasses import dataclass

from search.gains import seeds_side_by_side
from search.record import RetrainRow, StudyRecord
from search.selection import TrialRow, best_baseline, is_collapsed, ranked
from trainables.scores import Scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Scores without and with an intermediate phase, of the same seeds in the same order where
    both sides have some. `after` is empty where no trial has an intermediate phase. `measured_on`
    says which trials and rows these are."""

    measured_on: str
    intermediate: str | None
    before: tuple[Scores, ...]
    after: tuple[Scores, ...]


def sides_of(record: StudyRecord) -> Sides | None:
    """The last retrain of a winner that has an intermediate phase, since its seeds are fresh and
    its rows those of the test split; else the best trial that has one, beside the best baseline.
    None without a baseline. Collapsed runs are on neither side."""
    return _retrained(record.retrains) or _searched(record.rows)


def _searched(rows: Sequence[TrialRow]) -> Sides | None:
    sound = [row for row in ranked(rows) if not is_collapsed(row)]
    baseline = best_baseline(sound)
    if baseline is None or baseline.scores is None:
        return None
    best = next((row for row in sound if row.plan.intermediate is not None), None)
    if best is None or best.plan.intermediate is None:
        before = seeds_side_by_side(sound, baseline, baseline)[0]
        named = f"trial {baseline.number}"
        return Sides(measured_on=named, intermediate=None, before=before, after=())
    before, after = seeds_side_by_side(sound, baseline, best)
    return Sides(
        measured_on=f"trial {best.number} beside trial {baseline.number}",
        intermediate=best.plan.intermediate.mixture.short,
        before=before,
        after=after,
    )


def _retrained(retrains: Sequence[RetrainRow]) -> Sides | None:
    runs = [run for run in retrains if run.scores is not None and not run.scores.is_collapsed]
    for name in reversed(dict.fromkeys(run.name for run in runs)):
        role = {
            role: {run.seed: run for run in runs if (run.name, run.role) == (name, role)}
            for role in ("baseline", "winner")
        }
        seeds = sorted(role["baseline"].keys() & role["winner"].keys())
        winner = role["winner"][seeds[0]].plan.intermediate if seeds else None
        if winner is not None:
            return Sides(
                measured_on=f"retrain {name!r}",
                intermediate=winner.mixture.short,
                before=_scores([role["baseline"][seed] for seed in seeds]),
                after=_scores([role["winner"][seed] for seed in seeds]),
            )
    return None


def _scores(runs: Sequence[RetrainRow]) -> tuple[Scores, ...]:
    return tuple(run.scores for run in runs if run.scores is not None)
