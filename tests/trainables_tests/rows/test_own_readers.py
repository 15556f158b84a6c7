"""One's own rows of every kind, from the file to the format."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from spaces.refusal import Refusal
from spaces.tasks.catalogue import METRICS, TASKS, TaskKind, tabulate
from spaces.tasks.own_tasks import own_rows, own_task
from trainables.examples import PairExample
from trainables.formats.kinds import format_of_task
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
def rows(tmp_path: Path, monkeypatch) -> Rows:
    """A root with a folder a kind, and tasks of one's own in the table that read them."""
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
    table = tabulate((*TASKS.values(), *tasks), {"qqp": own_rows("qqp", "de")})
    monkeypatch.setattr("spaces.tasks.catalogue.TASKS", table)
    yield Rows(str(tmp_path))
    _load.cache_clear()
    _fingerprint.cache_clear()


@pytest.mark.parametrize("kind", ROWS)
def test_ones_own_rows_of_every_kind(rows: Rows, kind: TaskKind, tokenizer) -> None:
    from spaces.tasks.catalogue import get_task

    task = get_task(f"own-{kind}")
    assert task.metric == METRICS[kind][0]
    for language in ("sw", "en"):
        loaded = rows.load(task.name, language, "train")
        task_format = format_of_task(task)
        features = task_format.encode(loaded.examples, task, tokenizer=tokenizer, max_length=48)
        assert int(features.example[-1]) == 2
        assert [example.id for example in loaded.examples] == [
            f"train-{number:06d}" for number in range(3)
        ]
    assert loaded.num_mended == (3 if kind is TaskKind.SPAN else 0)
    assert rows.languages(task.name, ("sw",), "validation") == ()


def test_ones_own_rows_of_a_task_that_is_there(rows: Rows) -> None:
    """They have the columns of the task's own data set."""
    (result,) = rows.examples("qqp", "de", "train")
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
    rows: Rows, tmp_path: Path, kind: TaskKind, change: dict, message: str
) -> None:
    path = tmp_path / f"own-{kind}" / "sw" / "validation.jsonl"
    path.write_text("\n".join(map(json.dumps, (ROWS[kind], {**ROWS[kind], **change, "id": "r-7"}))))
    with pytest.raises(Refusal, match=f"task 'own-{kind}', row 'r-7': ") as refused:
        rows.load(f"own-{kind}", "sw", "validation")
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
    rows: Rows, tmp_path: Path, ids: tuple[Any, ...], message: str | None
) -> None:
    made = [{**ROWS[TaskKind.CLASSIFICATION], "id": row_id} for row_id in ids]
    path = tmp_path / f"own-{TaskKind.CLASSIFICATION}" / "sw" / "validation.jsonl"
    path.write_text("\n".join(map(json.dumps, made)))
    load = partial(rows.load, f"own-{TaskKind.CLASSIFICATION}", "sw", "validation")
    if message is None:
        assert [row.id for row in load().examples] == [
            "r-1",
            "validation-000001",
            "validation-000002",
        ]
    else:
        with pytest.raises(Refusal, match=message):
            load()


def test_a_label_in_another_unicode_form_is_told(rows: Rows, tmp_path: Path) -> None:
    from spaces.tasks.catalogue import get_task

    task = replace(get_task(f"own-{TaskKind.CLASSIFICATION}"), labels=("gr\u00f6\u00dfe", "bug"))
    example = PairExample(id="r-7", text_a="a", text_b=None, label="gro\u0308\u00dfe")
    with pytest.raises(Refusal, match="differs only in its Unicode form"):
        format_of_task(task).check(example, task)
