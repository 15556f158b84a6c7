from typing import Any

import pytest

from spaces.refusal import Refusal
from spaces.tasks import TASKS, get_task
from trainables.examples import Answer, RetrievalExample, SpanExample
from trainables.readers import READERS, Reading, nearest, read_row

TYDIQA = {
    "id": "finnish-3-0",
    "question": "Missä?",
    "context": "Se on tässä, juuri tässä.",
    "answers": {"text": ["tässä"], "answer_start": [20]},
}
TATOEBA = {
    "source_sentence": "Guten Tag.\n",
    "target_sentence": "Good day.\n",
    "source_lang": "cache/huggingface/datasets/downloads/56d6",
    "target_lang": "eng",
}
PANX = {"tokens": ["Bonn"], "ner_tags": ["B-LOC"], "langs": ["de"]}
CSQA = {
    "id": "q",
    "question": "Where?",
    "choices": {"label": ["A", "B", "C"], "text": ["here", "there", "nowhere"]},
    "answerKey": "B",
}
HELLASWAG = {"ctx": "She sits", "endings": ["down.", "up.", "in.", "out."], "label": "2"}
PAWSX = {"sentence1": "One.", "sentence2": "Two.", "label": "1"}


def read(task: str, language: str, row: dict[str, Any], **changes: Any) -> Reading:
    return read_row({**row, **changes}, get_task(task), language, place="test-000007")


def test_every_task_of_the_hub_has_a_reader() -> None:
    used = {task.reader for task in TASKS.values() if task.dataset != "pocket"}
    assert used == set(READERS)


@pytest.mark.parametrize(
    ("start", "place"), [(-3, 0), (0, 0), (3, 0), (6, 9), (9, 9), (13, 9), (17, 20), (90, 20)]
)
def test_an_answer_is_found_next_to_its_offset(start: int, place: int) -> None:
    assert nearest("the cat, the cat on the mat", "the ", start) == place


def test_an_answer_that_stands_nowhere_keeps_its_offset() -> None:
    assert nearest("the cat", "dog", 2) == 2


def test_wrong_offsets_are_mended_and_counted() -> None:
    found = read("tydiqa", "fi", TYDIQA)
    assert isinstance(found.example, SpanExample)
    assert found.example.answers == (Answer(text="tässä", start=19),)
    assert found.num_mended == 1
    right = read("tydiqa", "fi", TYDIQA, answers={"text": ["tässä"], "answer_start": [6]})
    assert isinstance(right.example, SpanExample)
    assert right.example.answers[0].start == 6
    assert right.num_mended == 0


def test_tydiqas_language_stands_in_the_id() -> None:
    assert read("tydiqa", "ru", TYDIQA) == Reading(None)
    with pytest.raises(Refusal, match=r"row 'suomi-3-0': its language 'suomi' is none of"):
        read("tydiqa", "fi", TYDIQA, id="suomi-3-0")


def test_tatoebas_newlines_and_paths_of_caches_are_no_content() -> None:
    expected = RetrievalExample(id="test-000007", text="Guten Tag.", pivot="Good day.")
    assert read("tatoeba", "de", TATOEBA).example == expected
    assert read("tatoeba", "de", TATOEBA, source_lang="deu").example == expected
    for column in ("source_lang", "target_lang"):
        with pytest.raises(Refusal, match=rf"test-000007': {column} is 'fra'.* mixed languages"):
            read("tatoeba", "de", TATOEBA, **{column: "fra"})


def test_placeholders_are_dropped_and_counted() -> None:
    assert read("pawsx", "de", PAWSX, sentence2="NS") == Reading(None, is_dropped=True)
    assert read("pawsx", "de", PAWSX, sentence1=" NS\n").is_dropped
    assert not read("pawsx", "de", PAWSX, sentence1="NS is a placeholder.").is_dropped


def test_labels_come_by_name_whatever_their_type() -> None:
    labels = {
        ("pawsx", "de"): (PAWSX, "paraphrase"),
        ("hellaswag", "en"): (HELLASWAG, 2),
        ("csqa", "en"): (CSQA, 1),
    }
    for (task, language), (row, label) in labels.items():
        assert getattr(read(task, language, row).example, "label", None) == label
    cosmos = {"id": "c", "context": "Rain.", "question": "Why?", "label": 3}
    cosmos.update({f"answer{number}": f"Because {number}." for number in range(4)})
    found = read("cosmosqa", "en", cosmos).example
    assert getattr(found, "label", None) == 3
    assert getattr(found, "text", None) == "Why? Rain."


@pytest.mark.parametrize("hidden", ["", -1, None, "-1"])
def test_hidden_labels_are_refused(hidden: Any) -> None:
    for task, row, column in (
        ("pawsx", PAWSX, "label"),
        ("hellaswag", HELLASWAG, "label"),
        ("csqa", CSQA, "answerKey"),
    ):
        with pytest.raises(Refusal, match=r"row '.*': its label is hidden .* trained on nor sco"):
            read(task, "en", row, **{column: hidden})


@pytest.mark.parametrize(
    ("task", "row", "change", "message"),
    [
        ("csqa", CSQA, {"answerKey": "E"}, "row 'q': label 'E' is none of its choices A, B, C"),
        ("csqa", CSQA, {"choices": None}, "column 'choices' is None"),
        ("hellaswag", HELLASWAG, {"label": "4"}, "label '4' is none of its choices"),
        ("hellaswag", HELLASWAG, {"endings": ["a", None]}, "expected a list of texts"),
        ("panx", PANX, {"langs": ["en"]}, "words of en in rows of de: mixed languages"),
        ("pawsx", PAWSX, {"sentence1": None}, "column 'sentence1' is None, expected text"),
        ("tydiqa", TYDIQA, {"answers": {"text": ["a"]}}, "expected text and answer_start"),
        ("squad", TYDIQA, {"answers": {"text": ["a"], "answer_start": []}}, "1 answers and 0"),
    ],
)
def test_rows_that_contradict_themselves_are_refused(
    task: str, row: dict, change: dict, message: str
) -> None:
    language = {"panx": "de", "tydiqa": "fi"}.get(task, "en")
    with pytest.raises(Refusal, match="row '") as refused:
        read(task, language, row, **change)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
