"""One's own tasks, and one's own rows of tasks that are there: entries to add here.

A folder of rows holds LANGUAGE/SPLIT.jsonl or LANGUAGE/SPLIT.parquet; docs/how-to/own-task.md
lists the columns, and has an example of each kind of entry.
"""

from collections.abc import Mapping
from types import MappingProxyType

from spaces.origin import Layout, Origin
from spaces.task import METRICS, AnswerRules, Task, TaskKind


def own_task(
    name: str,
    kind: TaskKind,
    folder: str,
    *,
    languages: tuple[str, ...],
    num_train_rows: int,
    labels: tuple[str, ...] = (),
    metric: str | None = None,
    chance: float = 0.0,
    reader: str = "",
    train_on: str | None = None,
    single_split: tuple[str, ...] = (),
    is_symmetric: bool = False,
    answer_rules: AnswerRules = AnswerRules.SQUAD_V1,
    train_rows: Mapping[str, int] = MappingProxyType({}),
) -> Task:
    """An entry of OWN_TASKS; the first of the languages is the one it is trained in, of whose rows
    `num_train_rows` counts those to train on; `train_rows` counts other languages', if unlike."""
    return Task(
        name=name,
        kind=kind,
        dataset=folder,
        config="{code}",
        layout=Layout.ROWS,
        reader=reader,
        languages=languages,
        source_language=languages[0],
        metric=metric or METRICS[kind][0],
        chance=chance or (1 / len(labels) if kind is TaskKind.CLASSIFICATION else 0.0),
        num_train_rows=num_train_rows,
        labels=labels,
        train_on=train_on,
        single_split=single_split,
        is_symmetric=is_symmetric,
        answer_rules=answer_rules,
        train_rows=dict(train_rows),
    )


def own_rows(folder: str, *languages: str) -> Origin:
    """An entry of OWN_ROWS: rows of a task in these languages, with the task's own columns."""
    return Origin(dataset=folder, languages=languages, config="{code}", layout=Layout.ROWS)


OWN_TASKS: tuple[Task, ...] = ()

OWN_ROWS: Mapping[str, Origin] = {}  # by the name of the task
