"""Writes `study.toml` for a folder of rows."""

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

from search.init.draft import TaskDraft, draft_task, task_name
from search.init.row_folder import RowFolder, look_at
from search.init.study_text import study_text
from spaces.refusal import Refusal
from spaces.study_file.sections import POCKET
from spaces.study_file.study import StudySettings
from spaces.tasks.task import TaskKind

FILE = "study.toml"


@dataclass(frozen=True, slots=True)
class NewStudy:
    """A study file that was written, the task in it and the rows."""

    path: Path
    task: str
    draft: TaskDraft
    folder: RowFolder


def init_study(
    folder: Path,
    rows: Path,
    *,
    encoder: str | None = None,
    kind: TaskKind | None = None,
    source: str | None = None,
    name: str | None = None,
) -> NewStudy:
    """Look at the rows and write a study file for them.

    Args:
        folder: the folder of the new file; it is made where it is missing.
        rows: the folder of the rows, with files LANGUAGE/SPLIT.
        encoder: `pocket`, a name on the hub or a folder; default: XLM-R Base.
        kind: the kind of the task; default: guessed.
        source: the language to train in; default: English, else that with most training rows.
        name: the name of the study; default: that of `folder`.

    Raises:
        Refusal: the file exists; the rows cannot be read, or no task can be made of them. Nothing
            is written then.
    """
    path = folder / FILE
    if path.exists():
        raise Refusal(f"{path} exists; remove it, or name another folder")
    found = look_at(rows)
    draft = draft_task(found, kind=kind, source=source)
    study = name or folder.resolve().name
    task = task_name(rows.resolve().name, study)
    if encoder not in (None, POCKET) and Path(encoder or "").is_dir():
        encoder = str(Path(encoder or "").resolve())
    text = study_text(draft, study=study, task=task, rows=_relative(rows, folder), encoder=encoder)
    StudySettings.parse(tomllib.loads(text), file=FILE)  # as `plan` will read it
    folder.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    return NewStudy(path, task, draft, found)


def _relative(rows: Path, folder: Path) -> str:
    return Path(os.path.relpath(rows.resolve(), folder.resolve())).as_posix()
