"""evaluate: a trained trial as it stands, scored on one split; nothing is trained or recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.home import Home
from search.record.address import RecordAddress
from search.record.reader import StudyRecord
from search.trials.gains import averages, task_scores
from search.trials.ranking import TrialRow, seen_languages
from search.winner.register import key_after
from search.winner.searched_study import SearchedStudy
from search.winner.submission import Draft, Submission, check_targets
from spaces.phases import Target
from spaces.refusal import Refusal, unknown
from spaces.study import StudySettings
from spaces.task_catalog import SPLITS
from trainables.quiet import quiet_libraries
from trainables.scoring.scores import Scores, TargetScores
from trainables.training.context import TrialContext
from trainables.training.evaluate import predictions_of, scores_of
from trainables.training.stage import model_after
from trainables.training.trial import scoring_of
from trainables.whole import check_new

EVALUATED = tuple(split for split in SPLITS if split != "train")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The scores of one trial on one split. `seen` has, by target, the languages whose rows had a
    say in choosing it, all of them or, where `is_half_seen`, one half."""

    study: str
    trial: int
    name: str
    split: str
    scores: Scores
    seen: Mapping[str, Sequence[str]]
    is_half_seen: bool
    submission: Submission | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON values: every metric by target and language, task scores, averages, protocols."""
        written = self.submission
        return {
            "study": self.study,
            "trial": self.trial,
            "name": self.name,
            "split": self.split,
            "targets": {target.task: target.to_dict() for target in self.scores.targets},
            "task_scores": task_scores(self.scores),
            "averages": averages(self.scores),
            "seen_test_rows": {task: list(codes) for task, codes in self.seen.items()},
            "is_half_seen": self.is_half_seen,
            "submission": written and written.to_dict(),
        }


def evaluate_trial(
    address: RecordAddress,
    home: Home,
    *,
    split: str = "test",
    trial: int | None = None,
    xtreme: Path | None = None,
    xtreme_rows: Path | None = None,
    data_root: str | None = None,
) -> Evaluation:
    """Score the best trial, or the one named, in all its targets and languages.

    With `xtreme`, it is scored on the benchmark's own test rows, all of them in all languages, and
    the predictions that were scored are written there as a submission. Where the folder
    `xtreme_rows`, which XTREME's download script wrote, has test rows, these are answered in the
    submission instead; they have no labels, so that the scores stay those of the other rows.

    Raises Refusal: an unknown study, trial or split, a phase that is not in the phase store, a
    folder that is not empty, a trial without any of XTREME's tasks, a folder `xtreme_rows` without
    test rows of its targets.
    """
    quiet_libraries()
    _check_asked(split, xtreme, xtreme_rows)
    searched = SearchedStudy.read(address, data_root=data_root)
    settings, row = searched.settings, searched.choose(trial)
    if xtreme is not None:
        targets = [target.task for target in row.plan.targets]
        check_targets(targets, xtreme_rows, trial=f"trial {row.number} of study {address.study!r}")
    _, context = searched.open(home)
    keys = {target.task: key_after(row.plan, target, context) for target in row.plan.targets}
    if xtreme is not None:
        context = context.scoring_by(_benchmarks_own(settings))
    draft = Draft(xtreme_rows) if xtreme is not None else None
    scored = _score(row, keys, context, split=split, draft=draft)
    return Evaluation(
        study=address.study,
        trial=row.number,
        name=str(row.plan),
        split=split,
        scores=Scores(targets=tuple(scored), of_interest=settings.objective_targets),
        seen=_seen(searched.record, row, context.settings) if split == "test" else {},
        is_half_seen=settings.evaluation.halves,
        submission=draft.finish(xtreme, scored) if draft and xtreme else None,
    )


def _check_asked(split: str, xtreme: Path | None, xtreme_rows: Path | None) -> None:
    """Refuse options that do not go together, and a folder that is not new."""
    if split not in EVALUATED:
        raise unknown("split to evaluate", split, EVALUATED)
    if xtreme is not None and split != "test":
        raise Refusal(f"--xtreme reads test rows, and --split is {split!r}; leave --split out")
    if xtreme_rows is not None and xtreme is None:
        raise Refusal("--xtreme-rows is for a submission; say where to write it with --xtreme DIR")
    if xtreme is not None:
        check_new(xtreme)


def _benchmarks_own(settings: StudySettings) -> Any:
    """All rows, uncut, in all languages."""
    return settings.evaluation.model_copy(
        update={"halves": False, "max_rows": None, "languages": ()}
    )


def _score(
    row: TrialRow,
    keys: Mapping[str, str | None],
    context: TrialContext,
    *,
    split: str,
    draft: Draft | None,
) -> list[TargetScores]:
    """Scores of every target; their files go into the draft of a submission."""
    scored: list[TargetScores] = []
    for target in row.plan.targets:
        key, scoring = keys[target.task], scoring_of(target, context, split=split)
        model = model_after(key, target.trained_tasks, context)
        predicted = predictions_of(model, scoring, context)
        scores = scores_of(predicted, scoring, context, loss_fell=_loss_fell(target, key, context))
        scored.append(scores)
        if draft is not None:
            draft.add(model, predicted, scoring, context)
    return scored


def _loss_fell(target: Target, key: str | None, context: TrialContext) -> bool:
    """As in the search: only a phase of the target's own is looked at."""
    record = context.store.record(key) if target.phase is not None and key is not None else None
    return record is None or record.loss_fell


def _seen(record: StudyRecord, row: TrialRow, scored_by: StudySettings) -> dict[str, list[str]]:
    if scored_by.evaluation.halves:
        return {}
    recorded = record.settings.evaluation
    return seen_languages(row, recorded.selection, pivot_languages=recorded.pivot_languages)
