"""A description by columns reads what the shipped reader of a data set of the hub reads."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from spaces.tasks.catalogue import SHIPPED
from trainables.formats.kinds import format_of_task
from trainables.rows.hub_readers import read_row, reader_of
from trainables.rows.origin_rows import read_origin

NLI = {"sentence1": "premise", "sentence2": "hypothesis"}
LETTERS = tuple((letter, str(place)) for place, letter in enumerate("ABCDE"))

# Task, language, split -> columns, names of labels.
DESCRIBED: dict[tuple[str, str, str], tuple[dict[str, str], tuple[tuple[str, str], ...]]] = {
    ("mnli", "en", "validation"): (NLI, ()),
    ("pawsx", "de", "test"): ({}, (("0", "different"), ("1", "paraphrase"))),
    ("hellaswag", "en", "validation"): ({"text": "ctx", "choices": "endings"}, ()),
    ("csqa", "en", "validation"): (
        {"text": "question", "choices": "choices.text", "label": "answerKey"},
        LETTERS,
    ),
    ("cosmosqa", "en", "validation"): (
        {"text": "question+context", "choices": "answer0+answer1+answer2+answer3"},
        (),
    ),
    ("squad", "en", "validation"): ({}, ()),
    ("udpos", "zh", "test"): ({"tags": "pos_tags"}, ()),
    ("panx", "de", "test"): ({"tags": "ner_tags"}, ()),
    ("tatoeba", "de", "validation"): (
        {"sentence": "source_sentence", "translation": "target_sentence"},
        (),
    ),
    ("flores", "de", "train"): ({"text": "sentence"}, ()),
}


@pytest.mark.parametrize("place", DESCRIBED, ids="-".join)
def test_a_described_data_set(place: tuple[str, str, str], mirror: Path) -> None:
    name, language, split = place
    columns, label_names = DESCRIBED[place]
    shipped = SHIPPED.get(name)
    origin = replace(
        shipped.origin_of(language),
        reader="",
        columns=tuple(columns.items()),
        label_names=label_names,
    )
    described = replace(shipped, reader="", elsewhere=(origin,))
    names = (shipped.hub_split(language, split) or "").split("+")
    results: list[list[dict[str, Any]]] = []
    for task in (shipped, described):
        rows = read_origin(task.origin_of(language), language, names, str(mirror)).rows[:200]
        reader = reader_of(task, language)
        readings = [
            read_row(row, task, language, reader=reader, fallback_id=row_id) for row_id, row in rows
        ]
        examples = [reading.example for reading in readings if reading.example is not None]
        for example in examples:
            format_of_task(task).check(example, task)
        results.append([asdict(example) | {"document": ""} for example in examples])
    assert results[0]
    assert results[0] == [row for row in results[1] if row in results[0]]
