"""evaluate: score a trained trial on one split; nothing is trained or recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from search.callbacks import OnDone, ignore
from search.home import Home
from search.record.address import RecordAddress
from search.record.reader import StudyRecord
from search.trials.gains import averages, task_scores
from search.trials.ranking import TrialRow, seen_languages
from search.winner.register import key_after
from search.winner.searched_study import SearchedStudy
from spaces.json_values import JsonObject, to_json
from spaces.phases import Target
from spaces.refusal import Refusal, unknown
from spaces.study_file.sections import EvaluationSection
from spaces.study_file.study import StudySettings
from spaces.tasks.task import SPLITS
from trainables.exporting.submission_draft import Draft, Submission, check_targets
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
    """The scores of one trial on one split. `seen` has, by target, the languages whose rows helped
    to choose the trial: all rows of them or, if `is_half_seen`, one half."""

    study: str
    trial: int
    name: str
    split: str
    scores: Scores
    seen: Mapping[str, Sequence[str]]
    is_half_seen: bool
    submission: Submission | None

    def to_dict(self) -> JsonObject:
        """As JSON values: every metric by target and language, task scores, averages, protocols."""
        return to_json(
            {
                "study": self.study,
                "trial": self.trial,
                "name": self.name,
                "split": self.split,
                "targets": {target.task: target.to_dict() for target in self.scores.targets},
                "task_scores": task_scores(self.scores),
                "averages": averages(self.scores),
                "seen_test_rows": self.seen,
                "is_half_seen": self.is_half_seen,
                "submission": self.submission,
            }
        )


def evaluate_trial(
    address: RecordAddress,
    home: Home,
    *,
    split: str = "test",
    trial: int | None = None,
    xtreme: Path | None = None,
    xtreme_rows: Path | None = None,
    data_root: str | Path | None = None,
    encoder: str | Path | None = None,
    on_pretrained: OnDone = ignore,
) -> Evaluation:
    """Score the best trial, or the one with the number `trial`, in all its targets and languages.

    With `xtreme`, the trial is scored on all test rows of the benchmark, in all its languages, and
    the predictions are written to that folder as a submission.

    Args:
        address: where the record of the study is.
        split: `test` or `validation`.
        trial: the number of another trial than the best.
        xtreme: a new folder for the submission.
        xtreme_rows: the folder that XTREME's download script wrote. Its test rows are answered in
            the submission, if there are some. They have no labels, so the scores stay those of the
            other rows.
        data_root: overrides the folder of the rows that the search read.
        encoder: overrides the folder of its encoder, which must be the same one.
        on_pretrained: called with the numbers of finished and of all steps, if the encoder has to
            be pretrained first.

    Raises:
        Refusal: an unknown study, trial or split, a phase that is not in the phase store, a folder
            that is not empty, a trial without any of XTREME's tasks, a folder `xtreme_rows` without
            test rows of the trial's targets.
    """
    quiet_libraries()
    _check_request(split, xtreme, xtreme_rows)
    searched = SearchedStudy.read(address, data_root=data_root, encoder=encoder)
    settings, row = searched.settings, searched.choose(trial)
    if xtreme is not None:
        targets = [target.task for target in row.plan.targets]
        check_targets(targets, xtreme_rows, trial=f"trial {row.number} of study {address.study!r}")
    _, context = searched.open(home, on_pretrained=on_pretrained)
    keys = {target.task.name: key_after(row.plan, target, context) for target in row.plan.targets}
    if xtreme is not None:
        context = context.scoring_by(_all_rows(settings.evaluation))
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
        submission=draft.finish(xtreme) if draft and xtreme else None,
    )


def _check_request(split: str, xtreme: Path | None, xtreme_rows: Path | None) -> None:
    """Refuse options that do not go together, and a folder that is not new."""
    if split not in EVALUATED:
        raise unknown("split to evaluate", split, EVALUATED)
    if xtreme is not None and split != "test":
        raise Refusal(f"--xtreme reads test rows, but --split is {split!r}; leave --split out")
    if xtreme_rows is not None and xtreme is None:
        raise Refusal("--xtreme-rows is for a submission; say where to write it with --xtreme DIR")
    if xtreme is not None:
        check_new(xtreme)


def _all_rows(evaluation: EvaluationSection) -> EvaluationSection:
    """The section changed to score all rows in all languages."""
    return evaluation.model_copy(update={"halves": False, "max_rows": None, "languages": ()})


def _score(
    row: TrialRow,
    keys: Mapping[str, str | None],
    context: TrialContext,
    *,
    split: str,
    draft: Draft | None,
) -> list[TargetScores]:
    """The scores of every target. The files of a submission go into its draft."""
    scored: list[TargetScores] = []
    for target in row.plan.targets:
        key, scoring = keys[target.task.name], scoring_of(target, context, split=split)
        model = model_after(key, target.trained_tasks, context)
        predicted = predictions_of(model, scoring, context)
        scores = scores_of(predicted, scoring, context, loss_fell=_loss_fell(target, key, context))
        scored.append(scores)
        if draft is not None:
            draft.add(model, predicted, scoring, context)
    return scored


def _loss_fell(target: Target, key: str | None, context: TrialContext) -> bool:
    """Whether the training loss of the target's own phase fell, as in the search; True for a
    target without a phase."""
    record = context.store.record(key) if target.phase is not None and key is not None else None
    return record is None or record.loss_fell


def _seen(record: StudyRecord, row: TrialRow, scored_by: StudySettings) -> dict[str, list[str]]:
    if scored_by.evaluation.halves:
        return {}
    recorded = record.settings.evaluation
    return seen_languages(row, recorded.selection, pivot_languages=recorded.pivot_languages)
