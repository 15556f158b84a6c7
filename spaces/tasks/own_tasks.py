"""Your own tasks, and your own rows for the tasks of the catalogue: add entries here.

A folder of rows holds LANGUAGE/SPLIT.jsonl or LANGUAGE/SPLIT.parquet. docs/how-to/own-task.md lists
the columns and has an example of each kind of entry.
"""

from collections.abc import Mapping
from typing import Unpack

from spaces.tasks.origin import Layout, Origin, Splits
from spaces.tasks.task import METRICS, Task, TaskFields, TaskKind


def own_task(
    name: str,
    kind: TaskKind,
    folder: str,
    *,
    languages: tuple[str, ...],
    num_train_rows: int,
    metric: str | None = None,
    chance: float = 0.0,
    **fields: Unpack[TaskFields],
) -> Task:
    """An entry of OWN_TASKS.

    Args:
        languages: the languages with rows; the first one is the source language, which is trained
            on.
        num_train_rows: training rows in the source language.
        metric: the main score; by default the main metric of the kind.
        chance: the score of guessing; for classification the default is 1 / number of labels.
        fields: other fields of `Task`, such as `labels`, `train_on`, `single_split` or
            `train_rows`.
    """
    fields["layout"] = Layout.ROWS
    labels = fields.get("labels", ())
    return Task(
        name=name,
        kind=kind,
        dataset=folder,
        config="{code}",
        languages=languages,
        source_language=languages[0],
        metric=metric or METRICS[kind][0],
        chance=chance or (1 / len(labels) if kind is TaskKind.CLASSIFICATION else 0.0),
        num_train_rows=num_train_rows,
        **fields,
    )


def own_rows(folder: str, *languages: str) -> Origin:
    """An entry of OWN_ROWS: rows of a task in these languages, with the columns of the task."""
    return Origin(dataset=folder, languages=languages, config="{code}", layout=Layout.ROWS)


def xtreme_rows(folder: str, *languages: str) -> Origin:
    """An entry of OWN_ROWS: the train and dev rows of a task in these languages as XTREME's
    download script wrote them, from the task's folder (`/data/download/udpos`). Its test rows have
    no labels; `evaluate --xtreme-rows` answers them."""
    return Origin(
        dataset=folder,
        languages=languages,
        config="{code}",
        splits=Splits(validation="dev", test=None),
        layout=Layout.XTREME,
    )


OWN_TASKS: tuple[Task, ...] = ()

OWN_ROWS: Mapping[str, Origin] = {}  # by task name
