"""One's own rows of every kind, from the file to the format."""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from spaces.refusal import Refusal
from spaces.tasks.catalogue import SHIPPED, Catalogue
from spaces.tasks.origin import Layout, Origin
from spaces.tasks.task import METRICS, Task, TaskKind
from tests.by_name import own_rows, own_task
from trainables.examples import Answer, PairExample
from trainables.formats.kinds import format_of_task
from trainables.row_files.conll import conll_rows
from trainables.rows.hub_readers import read_row, reader_of
from trainables.rows.rows import Rows, _fingerprint, _load

ROWS: dict[TaskKind, dict[str, Any]] = {
    TaskKind.CLASSIFICATION: {"sentence1": "Nyumba.", "label": "bug"},
    TaskKind.CHOICE: {"text": "Nini?", "choices": ["moja", "mbili", "tatu"], "label": 2},
    TaskKind.SPAN: {
        "question": "Wapi?",
        "context": "Nyumba ya Ali iko Nairobi.",
        "answers": {"text": ["Nairobi"], "answer_start": [0]},
    },
    TaskKind.TAGGING: {"tokens": ["Ali", "yuko"], "tags": ["bug", "wish"]},
    TaskKind.RETRIEVAL: {"sentence": "Nyumba.", "translation": "A house."},
    TaskKind.MLM: {"text": "Nyumba ya Ali."},
}
LABELED = (TaskKind.CLASSIFICATION, TaskKind.TAGGING)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[tuple[Rows, Catalogue]]:
    """A root with a folder a kind, and a catalogue with tasks of one's own that read them."""
    tasks = []
    for kind, row in ROWS.items():
        for language in ("sw", "en"):
            path = tmp_path / f"own-{kind}" / language / "train.jsonl"
            path.parent.mkdir(parents=True)
            path.write_text("\n".join(json.dumps(row) for _ in range(3)))
        tasks.append(
            own_task(
                f"own-{kind}",
                kind,
                f"own-{kind}",
                languages=("sw", "en"),
                labels=("bug", "wish") if kind in LABELED else (),
                num_train_rows=0 if kind is TaskKind.RETRIEVAL else 3,
            )
        )
    qqp = tmp_path / "qqp" / "de" / "train.jsonl"
    qqp.parent.mkdir(parents=True)
    pair = {"question1": "Warum?", "question2": "Wieso?", "label": "duplicate"}
    qqp.write_text(json.dumps(pair))
    yield Rows(str(tmp_path)), SHIPPED.with_tasks(tasks).with_rows("qqp", own_rows("qqp", "de"))
    _load.cache_clear()
    _fingerprint.cache_clear()


@pytest.fixture
def rows(own: tuple[Rows, Catalogue]) -> Rows:
    return own[0]


@pytest.fixture
def tasks(own: tuple[Rows, Catalogue]) -> Catalogue:
    return own[1]


@pytest.mark.parametrize("kind", ROWS)
def test_ones_own_rows_of_every_kind(
    rows: Rows, tasks: Catalogue, kind: TaskKind, tokenizer
) -> None:
    task = tasks.get(f"own-{kind}")
    assert task.metric == METRICS[kind][0]
    for language in ("sw", "en"):
        loaded = rows.load(task, language, "train")
        task_format = format_of_task(task)
        features = task_format.encode(loaded.examples, task, tokenizer=tokenizer, max_length=48)
        assert int(features.example[-1]) == 2
        assert [example.id for example in loaded.examples] == [
            f"train-{number:06d}" for number in range(3)
        ]
    assert loaded.num_mended == (3 if kind is TaskKind.SPAN else 0)
    assert rows.languages(task, ("sw",), "validation") == ()


def test_ones_own_rows_of_a_task_that_is_there(rows: Rows, tasks: Catalogue) -> None:
    """They have the columns of the task's own data set."""
    (result,) = rows.examples(tasks.get("qqp"), "de", "train")
    assert result == PairExample(
        id="train-000000", text_a="Warum?", text_b="Wieso?", label="duplicate"
    )


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        (TaskKind.CLASSIFICATION, {"label": "bugs"}, "unknown label 'bugs'. Did you mean 'bug'"),
        (TaskKind.CLASSIFICATION, {"label": 1}, "unknown label '1'"),
        (TaskKind.CLASSIFICATION, {"sentence1": ""}, "text_a is empty"),
        (TaskKind.CLASSIFICATION, {"sentence2": 3}, "column 'sentence2' is 3, expected text"),
        (TaskKind.CHOICE, {"label": 3}, "label '3' is not one of its choices 0, 1, 2"),
        (TaskKind.TAGGING, {"tags": ["bug"] * 3}, "2 words and 3 tags"),
        (
            TaskKind.SPAN,
            {"answers": {"text": ["Mombasa"], "answer_start": [3]}},
            "is nowhere in it",
        ),
        (TaskKind.RETRIEVAL, {"translation": None}, "column 'translation' is None"),
    ],
)
def test_bad_rows_are_refused_with_their_id(
    rows: Rows, tasks: Catalogue, tmp_path: Path, kind: TaskKind, change: dict, message: str
) -> None:
    path = tmp_path / f"own-{kind}" / "sw" / "validation.jsonl"
    path.write_text("\n".join(map(json.dumps, (ROWS[kind], {**ROWS[kind], **change, "id": "r-7"}))))
    with pytest.raises(Refusal, match=f"^sw validation, task 'own-{kind}', row 'r-7': ") as refused:
        rows.load(tasks.get(f"own-{kind}"), "sw", "validation")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (("r-1", "r-2", "r-1"), "row 'r-1': its id belongs to validation-000000 and to validation"),
        (("validation-000001", None, None), "row 'validation-000001': its id belongs to"),
        (("r-1", 7, None), "row 'validation-000001': its id is 7, expected text"),
        (("r-1", None, None), None),
    ],
)
def test_ids_of_a_split_are_texts_and_differ(
    rows: Rows, tasks: Catalogue, tmp_path: Path, ids: tuple[Any, ...], message: str | None
) -> None:
    made = [{**ROWS[TaskKind.CLASSIFICATION], "id": row_id} for row_id in ids]
    path = tmp_path / f"own-{TaskKind.CLASSIFICATION}" / "sw" / "validation.jsonl"
    path.write_text("\n".join(map(json.dumps, made)))
    load = partial(rows.load, tasks.get(f"own-{TaskKind.CLASSIFICATION}"), "sw", "validation")
    if message is None:
        assert [row.id for row in load().examples] == [
            "r-1",
            "validation-000001",
            "validation-000002",
        ]
    else:
        with pytest.raises(Refusal, match=message):
            load()


def test_a_label_in_another_unicode_form_is_told(tasks: Catalogue) -> None:
    task = replace(tasks.get(f"own-{TaskKind.CLASSIFICATION}"), labels=("gr\u00f6\u00dfe", "bug"))
    example = PairExample(id="r-7", text_a="a", text_b=None, label="gro\u0308\u00dfe")
    with pytest.raises(Refusal, match="differs only in its Unicode form"):
        format_of_task(task).check(example, task)


def task_of(kind: TaskKind, **fields: Any) -> Task:
    """A task whose origin has these fields."""
    origin = Origin(dataset="own", languages=("en",), layout=Layout.ROWS, **fields)
    return Task(
        name="own",
        kind=kind,
        dataset="own",
        languages=("en",),
        metric=METRICS[kind][0],
        chance=0.0,
        num_train_rows=1,
        labels=("bug", "wish") if kind in LABELED else (),
        elsewhere=(origin,),
    )


def read(task: Task, content: dict[str, Any]) -> Any:
    reader = reader_of(task, "en")
    return read_row(content, task, "en", reader=reader, fallback_id="train-000007")


CONTEXT = "Ali is in Nairobi, in Nairobi."


@pytest.mark.parametrize(
    ("row", "answers"),
    [
        ({"answer": "Nairobi", "answer_start": "22"}, (Answer(text="Nairobi", start=22),)),
        ({"answer": "Nairobi", "answer_start": 22}, (Answer(text="Nairobi", start=22),)),
        ({"answer": "Nairobi"}, (Answer(text="Nairobi", start=10),)),
        ({"answer": "Nairobi", "answer_start": None}, (Answer(text="Nairobi", start=10),)),
        ({"answer": None, "answer_start": None}, ()),
        ({"answer": ""}, ()),
    ],
)
def test_an_answer_in_a_file_without_nested_columns(row: dict[str, Any], answers: Any) -> None:
    content = {"question": "Where?", "context": CONTEXT, **row}
    assert read(task_of(TaskKind.SPAN), content).example.answers == answers


def test_words_and_tags_as_texts() -> None:
    reading = read(task_of(TaskKind.TAGGING), {"tokens": "Ali is", "tags": "bug  wish"})
    assert reading.example.words == ("Ali", "is")
    assert reading.example.tags == ("bug", "wish")


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        (
            TaskKind.CLASSIFICATION,
            {"sentence": "A.", "label": "bug"},
            "unknown column 'sentence1'. Did you mean 'sentence'? Known: label, sentence; say "
            "which column it is: columns = { sentence1 = NAME }",
        ),
        (TaskKind.MLM, {"txt": "A."}, "unknown column 'text'. Did you mean 'txt'? Known: txt; say"),
        (TaskKind.CHOICE, {"text": "A", "choices": ["a"]}, "columns = { label = NAME }"),
    ],
)
def test_a_missing_column_says_how_to_name_it(
    kind: TaskKind, content: dict[str, Any], message: str
) -> None:
    with pytest.raises(Refusal, match="task 'own', row 'train-000007': ") as refused:
        read(task_of(kind), content)
    assert message in str(refused.value)


def test_a_column_with_another_name_is_told_by_that_name() -> None:
    task = task_of(TaskKind.CLASSIFICATION, columns=(("sentence1", "text"), ("label", "category")))
    with pytest.raises(Refusal, match="column 'text' is 3, expected text"):
        read(task, {"sentence1": 3, "label": "bug"})
    with pytest.raises(Refusal, match=r"its label is hidden \(category is -1\)"):
        read(task, {"sentence1": "A.", "label": -1})
    with pytest.raises(Refusal, match=r"unknown column 'category'. Known: sentence1$"):
        read(task, {"sentence1": "A."})


def test_an_unknown_label_says_how_to_map_it() -> None:
    task = task_of(TaskKind.CLASSIFICATION)
    example = read(task, {"sentence1": "A.", "label": "Bug report"}).example
    with pytest.raises(Refusal, match=r"label_names = \{ 'Bug report' = LABEL \}$"):
        format_of_task(task).check(example, task)


@pytest.mark.parametrize("name", ["udpos", "panx"])
def test_conll_files_give_a_shipped_task_rows(name: str) -> None:
    task = SHIPPED.get(name).with_rows(Origin(dataset="own", languages=("en",), layout=Layout.ROWS))
    (row,) = conll_rows(f"Ali {task.labels[0]}\n", "file")
    assert read(task, row).example.tags == (task.labels[0],)
