"""A submission to XTREME's leaderboard: which rows its files answer, and what is missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from spaces.refusal import Refusal
from spaces.tasks.task import Task
from trainables.encoders.model import TransferModel
from trainables.examples import Example, PairExample, RetrievalExample, TaggingExample
from trainables.exporting.submission import (
    FOLDERS,
    OTHER_SENTENCES,
    SPLIT_WORDS,
    Predicted,
    content_of,
    file_name,
    write_submission,
)
from trainables.rows.hub import NoRowsError
from trainables.rows.rows import Rows
from trainables.rows.xtreme_files import BY_PLACE, HINT, find_test_rows
from trainables.training.context import TrialContext
from trainables.training.evaluate import Predictions, Scoring, predict

UDPOS = "udpos"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What was written for XTREME's leaderboard: `missing` of its tasks are no targets of the
    trial, and in some `missing_languages` of a task there were no rows.

    `own_rows` has, by task, the languages that were answered on rows of XTREME's own files, and
    `unlike_hub` those of them whose rows are not the hub's. `other_sentences` and `split_words` are
    the languages of udpos that were answered on rows of the hub which are known to be unlike
    XTREME's.
    """

    folder: Path
    files: tuple[str, ...]
    missing: tuple[str, ...]
    missing_languages: Mapping[str, Sequence[str]]
    own_rows: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unlike_hub: Mapping[str, Sequence[str]] = field(default_factory=dict)
    other_sentences: tuple[str, ...] = ()
    split_words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """A submission that is being made. `rows` is the folder of XTREME's own files, if any."""

    rows: Path | None = None
    tasks: dict[str, Task] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    own_rows: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unlike_hub: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def add(
        self, model: TransferModel, predicted: Predictions, scoring: Scoring, context: TrialContext
    ) -> None:
        """The files of one target. `predicted` are the answers that were scored; where XTREME's own
        rows are there, these are answered too, and take their place."""
        task = scoring.task
        if task.name not in FOLDERS:
            return
        self.tasks[task.name] = task
        self._write(predicted.by_language, predicted, scoring, context)
        theirs = languages_with_rows(task, self.rows)
        if not theirs:
            return
        known = context.data.rows
        rows = replace(known, xtreme=str(self.rows))
        context = replace(context, data=replace(context.data, rows=rows))
        scoring = replace(scoring, languages=theirs)
        self._write(predict(model, scoring, context), predicted, scoring, context)
        unlike = tuple(code for code in theirs if _are_unlike(known, rows, task, code))
        self.own_rows[task.name] = theirs
        self.unlike_hub.update({task.name: unlike} if unlike else {})

    def _write(
        self,
        answers: Mapping[str, Sequence[Any]],
        predicted: Predictions,
        scoring: Scoring,
        context: TrialContext,
    ) -> None:
        task, rows = scoring.task, context.data.rows
        for language, predictions in answers.items():
            loaded = rows.load(task, language, scoring.split)
            of_language = Predicted(
                examples=loaded.examples,
                predictions=predictions,
                dropped=loaded.dropped,
                format=predicted.formats.get(language, scoring.format),
            )
            self.files[file_name(task, language)] = content_of(task, of_language)

    def finish(self, folder: Path) -> Submission:
        """Write all files to a new folder. Raises Refusal."""
        write_submission(folder, self.files)
        absent = {
            name: [code for code in task.languages if file_name(task, code) not in self.files]
            for name, task in self.tasks.items()
        }
        udpos = self.tasks.get(UDPOS)
        of_hub = [
            code
            for code in (udpos.languages if udpos else ())
            if code not in (*absent[UDPOS], *self.own_rows.get(UDPOS, ()))
        ]
        return Submission(
            folder=folder,
            files=tuple(sorted(self.files)),
            missing=tuple(task for task in FOLDERS if task not in self.tasks),
            missing_languages={task: codes for task, codes in absent.items() if codes},
            own_rows=self.own_rows,
            unlike_hub=self.unlike_hub,
            other_sentences=tuple(code for code in of_hub if code in OTHER_SENTENCES),
            split_words=tuple(code for code in of_hub if code in SPLIT_WORDS),
        )


def languages_with_rows(task: Task, rows: Path | None) -> tuple[str, ...]:
    """The languages of a task in which XTREME's own files have test rows."""
    if rows is None:
        return ()
    return tuple(
        code for code in task.languages if find_test_rows(task, code, str(rows)) is not None
    )


def check_targets(targets: Sequence[Task], rows: Path | None, *, trial: str) -> None:
    """Raise Refusal where a submission of the targets would be empty, or where the folder of
    XTREME's own files has no test rows of them."""
    if not any(target.name in FOLDERS for target in targets):
        raise Refusal(
            f"{trial} has the targets {', '.join(map(str, targets))}; a submission needs at least "
            f"one of XTREME's nine tasks ({', '.join(FOLDERS)})"
        )
    asked = [target for target in targets if target.name in BY_PLACE]
    if rows is not None and not asked:
        raise Refusal(
            f"--xtreme-rows is for targets whose files have no ids, and the trial has none of "
            f"{', '.join(BY_PLACE)}; leave it out"
        )
    if rows is not None and not any(languages_with_rows(target, rows) for target in asked):
        names = [target.name for target in asked]
        example = "tatoeba/de-en.de" if names[0] == "tatoeba" else f"{names[0]}/test-de.tsv"
        raise Refusal(
            f"--xtreme-rows {str(rows)!r} has no test rows of {', '.join(names)}, such as "
            f"{example}; {HINT}"
        )


def _are_unlike(hub: Rows, own: Rows, task: Task, language: str) -> bool:
    """Whether the texts of the rows, or their order, differ; XTREME's files hide the labels."""
    try:
        return _texts(hub, task, language) != _texts(own, task, language)
    except NoRowsError:
        return True


def _texts(rows: Rows, task: Task, language: str) -> tuple[list[str], list[str]]:
    """The texts of the rows as they stand, and English translations in the order of XTREME's."""
    examples = rows.examples(task, language, "test")
    pivots = [row.pivot for row in examples if isinstance(row, RetrievalExample)]
    return [_text_of(row) for row in examples], sorted(pivots)


def _text_of(example: Example) -> str:
    match example:
        case TaggingExample():
            texts: Sequence[str] = example.words
        case PairExample():
            texts = (example.text_a, "\t", example.text_b or "")
        case RetrievalExample():
            texts = (example.text,)
        case _:
            raise TypeError(type(example))
    return "\n".join(" ".join(text.split()) for text in texts)
