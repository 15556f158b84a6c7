"""evaluate: a trained trial as it stands, scored on one split; nothing is trained or recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.callbacks import OnDone, ignore
from search.home import Home
from search.record.address import RecordAddress
from search.record.reader import StudyRecord
from search.report.findings import rule_of
from search.trials.gains import averages, task_scores
from search.trials.ranking import TrialRow, seen_languages
from search.winner.register import key_after
from search.winner.searched_study import SearchedStudy
from spaces.phases import Target
from spaces.refusal import Refusal, unknown
from spaces.study import StudySettings
from spaces.task_catalog import SPLITS, get_task
from trainables.exporting.submission import (
    FOLDERS,
    Predicted,
    content_of,
    file_name,
    write_submission,
)
from trainables.quiet import quiet_libraries
from trainables.scoring.scores import Scores, TargetScores
from trainables.training.context import TrialContext
from trainables.training.evaluate import Predictions, Scoring, predictions_of, scores_of
from trainables.training.stage import model_after
from trainables.training.trial import scoring_of
from trainables.whole import check_new

EVALUATED = tuple(split for split in SPLITS if split != "train")


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What was written for XTREME's leaderboard: `missing` of its tasks are no targets of the
    trial, and in some `missing_languages` of a task there were no rows."""

    folder: Path
    files: tuple[str, ...]
    missing: tuple[str, ...]
    missing_languages: Mapping[str, Sequence[str]]


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
            "submission": written
            and {
                "folder": str(written.folder),
                "files": list(written.files),
                "missing": list(written.missing),
                "missing_languages": {k: list(v) for k, v in written.missing_languages.items()},
            },
        }


def evaluate_trial(
    address: RecordAddress,
    home: Home,
    *,
    split: str = "test",
    trial: int | None = None,
    xtreme: Path | None = None,
    data_root: str | Path | None = None,
    on_pretrained: OnDone = ignore,
) -> Evaluation:
    """Score the best trial, or the one named, in all its targets and languages.

    Args:
        address: where the record of the study is.
        split: `test` or `validation`.
        trial: the number of another trial than the best.
        xtreme: a new folder. The trial is scored on the benchmark's own test rows, all of them in
            all languages, and the predictions are written to this folder as a submission.
        data_root: overrides the folder of the rows that the search read.
        on_pretrained: called with how many of how many steps are done, where the encoder is one
            that has to be made first.

    Raises:
        Refusal: an unknown study, trial or split, a phase that is not in the phase store, a folder
            that is not empty, a trial without any of XTREME's tasks.
    """
    quiet_libraries()
    if split not in EVALUATED:
        raise unknown("split to evaluate", split, EVALUATED)
    if xtreme is not None and split != "test":
        raise Refusal(f"--xtreme reads test rows, and --split is {split!r}; leave --split out")
    if xtreme is not None:
        check_new(xtreme)
    searched = SearchedStudy.read(address, data_root=data_root)
    settings, row = searched.settings, searched.choose(trial)
    if xtreme is not None and not any(target.task in FOLDERS for target in row.plan.targets):
        targets = ", ".join(target.task for target in row.plan.targets)
        raise Refusal(
            f"trial {row.number} of study {address.study!r} has the targets {targets}: none of "
            f"XTREME's nine ({', '.join(FOLDERS)}), of which a submission is made"
        )
    _, context = searched.open(home, on_pretrained=on_pretrained)
    keys = {target.task: key_after(row.plan, target, context) for target in row.plan.targets}
    if xtreme is not None:
        context = context.scoring_by(_benchmarks_own(settings))
    scored, files = _score(row, keys, context, split=split, writes=xtreme is not None)
    return Evaluation(
        study=address.study,
        trial=row.number,
        name=str(row.plan),
        split=split,
        scores=Scores(targets=tuple(scored), of_interest=settings.objective_targets),
        seen=_seen(searched.record, row, context.settings) if split == "test" else {},
        is_half_seen=settings.evaluation.halves,
        submission=_submit(xtreme, files, scored) if xtreme is not None else None,
    )


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
    writes: bool,
) -> tuple[list[TargetScores], dict[str, str]]:
    """Scores of every target, and the files of a submission."""
    scored: list[TargetScores] = []
    files: dict[str, str] = {}
    for target in row.plan.targets:
        key, scoring = keys[target.task], scoring_of(target, context, split=split)
        model = model_after(key, target.trained_tasks, context)
        predicted = predictions_of(model, scoring, context)
        scores = scores_of(predicted, scoring, context, loss_fell=_loss_fell(target, key, context))
        scored.append(scores)
        if writes and target.task in FOLDERS:
            files |= _files(predicted, scoring, context)
    return scored, files


def _loss_fell(target: Target, key: str | None, context: TrialContext) -> bool:
    """As in the search: only a phase of the target's own is looked at."""
    record = context.store.record(key) if target.phase is not None and key is not None else None
    return record is None or record.loss_fell


def _files(predicted: Predictions, scoring: Scoring, context: TrialContext) -> dict[str, str]:
    task, rows = get_task(scoring.task), context.data.rows
    found = {}
    for language, predictions in predicted.by_language.items():
        loaded = rows.load(task.name, language, scoring.split)
        of_language = Predicted(
            examples=loaded.examples,
            predictions=predictions,
            dropped=loaded.dropped,
            form=predicted.forms.get(language, scoring.form),
        )
        found[file_name(task, language)] = content_of(task, of_language)
    return found


def _submit(folder: Path, files: Mapping[str, str], scored: Sequence[TargetScores]) -> Submission:
    write_submission(folder, files)
    there = {target.task: target.languages for target in scored if target.task in FOLDERS}
    absent = {
        task: [code for code in get_task(task).languages if code not in languages]
        for task, languages in there.items()
    }
    return Submission(
        folder=folder,
        files=tuple(sorted(files)),
        missing=tuple(task for task in FOLDERS if task not in there),
        missing_languages={task: codes for task, codes in absent.items() if codes},
    )


def _seen(record: StudyRecord, row: TrialRow, scored_by: StudySettings) -> dict[str, list[str]]:
    if scored_by.evaluation.halves:
        return {}
    rule, pivots = rule_of(record)
    return seen_languages(row, rule, pivot_languages=pivots)
