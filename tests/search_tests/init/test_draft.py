from typing import Any

import pytest

from search.init.draft import draft_task, task_name
from search.init.row_folder import look_at
from spaces.refusal import Refusal
from spaces.tasks.task import TaskKind

TEXTS = [{"text": f"Row {n}", "category": ("bug", "wish")[n % 2]} for n in range(8)]


def tagged(*tags: str) -> list[dict[str, Any]]:
    return [{"tokens": ["w"] * len(tags), "tags": [*tags]}]


def question(answers: list[str]) -> dict[str, Any]:
    starts = [0] * len(answers)
    return {
        "question": "Q?",
        "context": "A b",
        "answers": {"text": answers, "answer_start": starts},
    }


def test_texts_in_three_languages(make_rows) -> None:
    files = {"de/train": TEXTS * 2, "en/train": TEXTS, "en/test": TEXTS, "de/validation": TEXTS}
    draft = draft_task(look_at(make_rows({**files, "sv/test": TEXTS})))
    assert draft.kind is TaskKind.CLASSIFICATION
    assert (draft.source, draft.languages) == ("en", ("en", "de", "sv"))
    assert draft.labels == ("bug", "wish")
    assert draft.columns == {"sentence1": "text", "label": "category"}
    assert draft.single_split == ("en", "sv")
    assert draft.num_train_rows == 8
    assert [warning.partition(":")[0] for warning in draft.warnings] == [
        "no test rows in de",
        "fewer than 200 rows to score in en de sv",
    ]
    other = draft_task(look_at(make_rows({})), source="de")
    assert (other.source, other.languages) == ("de", ("de", "en", "sv"))


def test_files_that_are_sorted_by_label(make_rows) -> None:
    rows = [{"text": f"Row {n}", "topic": f"topic-{n // 10}"} for n in range(1500)]
    draft = draft_task(look_at(make_rows({"en/train": rows, "de/test": rows})))
    assert len(draft.labels) == 150
    assert draft.columns == {"sentence1": "text", "label": "topic"}


def test_folders_with_other_names(make_rows) -> None:
    draft = draft_task(look_at(make_rows({"en/train": TEXTS, "German/dev": TEXTS})))
    assert draft.configs == {"en": "en", "de": "German"}
    assert draft.splits == {"validation": "dev"}


def test_the_source_is_the_language_with_most_training_rows(make_rows) -> None:
    files = {"de/train": TEXTS, "sv/train": TEXTS * 2, "de/test": TEXTS}
    assert draft_task(look_at(make_rows(files))).source == "sv"


@pytest.mark.parametrize(
    ("count", "steps"), [(1, 30), (60, 30), (320, 100), (3200, 300), (100_000, 5000)]
)
def test_steps_by_the_number_of_rows(make_rows, count: int, steps: int) -> None:
    rows = (TEXTS * (count // 8 + 1))[:count]
    rows[0] = {"text": "Row", "category": "wish"}
    draft = draft_task(look_at(make_rows({"en/train": rows, "de/test": TEXTS})))
    assert draft.num_steps == steps


@pytest.mark.parametrize(("letters", "tokens"), [(3, 32), (200, 96), (2000, 256)])
def test_tokens_by_the_length_of_the_rows(make_rows, letters: int, tokens: int) -> None:
    rows = [row | {"text": "x" * letters} for row in TEXTS]
    files = {"en/train": rows, "de/test": rows}
    assert draft_task(look_at(make_rows(files))).max_length == tokens


@pytest.mark.parametrize(
    ("rows", "labels", "metric"),
    [
        (tagged("NOUN", "O", "ADJ"), ("O", "ADJ", "NOUN"), "accuracy"),
        (tagged("B-PER", "I-PER", "O"), ("O", "B-PER", "I-PER"), "f1"),
    ],
)
def test_tags(make_rows, rows: list, labels: tuple[str, ...], metric: str) -> None:
    draft = draft_task(look_at(make_rows({"en/train": rows, "de/test": rows})))
    assert (draft.labels, draft.metric) == (labels, metric)


def test_numbers_are_labels_in_their_order(make_rows) -> None:
    rows = [{"sentence1": f"Row {n}", "label": n % 11} for n in range(40)]
    files = {"en/train": [*rows, {"sentence1": "hidden", "label": -1}], "de/test": rows}
    assert draft_task(look_at(make_rows(files))).labels == tuple(map(str, range(11)))


@pytest.mark.parametrize(("answers", "unanswerable"), [(["A"], False), ([], True)])
def test_questions_without_an_answer(make_rows, answers: list[str], unanswerable: bool) -> None:
    files = {"en/train": [question(["A"])], "de/test": [question(answers)]}
    assert draft_task(look_at(make_rows(files))).may_be_unanswerable is unanswerable


def test_choices_have_a_chance(make_rows) -> None:
    rows = [{"text": "Which?", "choices": list("abcd"), "label": n % 4} for n in range(8)]
    assert draft_task(look_at(make_rows({"en/train": rows, "de/test": rows}))).chance == 0.25


def test_translations_are_not_trained_on(make_rows) -> None:
    rows = [{"sentence": f"a {n}", "translation": f"b {n}"} for n in range(8)]
    draft = draft_task(look_at(make_rows({"de/test": rows, "sv/test": rows})))
    assert (draft.source, draft.languages) == ("en", ("de", "sv"))


@pytest.mark.parametrize(
    ("files", "source", "message"),
    [
        ({"de/test": TEXTS, "en/test": TEXTS}, None, "has no rows to train on; expected LANGUAGE/"),
        ({"en/train": TEXTS, "en/test": TEXTS}, None, "no validation or test rows in a second"),
        ({"en/train": TEXTS, "de/test": TEXTS}, "de", "language with training rows 'de'"),
    ],
)
def test_rows_that_no_search_can_use(make_rows, files, source, message: str) -> None:
    with pytest.raises(Refusal, match=message):
        draft_task(look_at(make_rows(files)), source=source)


@pytest.mark.parametrize(
    ("rows", "study", "name"),
    [
        ("tickets", "first", "tickets"),
        ("rows", "My Tickets 2", "my-tickets"),
        ("2024", "t_1", "t"),
        ("xnli", "t", "own-xnli"),
    ],
)
def test_the_name_of_the_task(rows: str, study: str, name: str) -> None:
    assert task_name(rows, study) == name
    with pytest.raises(Refusal, match="--name"):
        task_name("rows", "42")
