from typing import Any

import pytest

from spaces.refusal import Refusal
from spaces.tasks.catalogue import SHIPPED
from trainables.examples import Answer, RetrievalExample, SentenceExample, SpanExample
from trainables.rows.hub_readers import READERS, read_row, reader_of
from trainables.rows.reading import Reading

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
    entry = SHIPPED.get(task)
    reader = reader_of(entry, language)
    return read_row({**row, **changes}, entry, language, reader=reader, fallback_id="test-000007")


def test_every_task_of_the_hub_has_a_reader() -> None:
    hub = [task for task in SHIPPED if task.dataset != "pocket" and not task.parts]
    assert {task.origin_of(code).reader for task in hub for code in task.languages} == set(READERS)


def test_pairs_of_one_mind_only() -> None:
    """SNLI has pairs without a gold label; elsewhere a hidden one is a mistake."""
    pair = {"premise": "A man sits.", "hypothesis": "A man.", "label": None}
    assert read("snli", "en", pair) == Reading(None, is_dropped=True)
    assert read("snli", "en", pair, label="neutral").example is not None
    for task in ("mnli", "anli"):
        with pytest.raises(Refusal, match="its label is hidden"):
            read(task, "en", pair)


def test_the_row_of_anli_has_its_own_id() -> None:
    row = {"uid": "u-1", "premise": "P.", "hypothesis": "H.", "label": "neutral", "reason": ""}
    assert getattr(read("anli", "en", row).example, "id", None) == "u-1"


def test_translations_that_came_out_empty_are_dropped_and_originals_are_not() -> None:
    pair = {"premise": "Ein Satz.", "hypothesis": " ", "label": "neutral"}
    assert read("mnli", "de", pair) == Reading(None, is_dropped=True)
    assert read("mnli", "en", pair).example is not None  # and is refused when it is checked


def test_questions_that_are_empty_are_dropped() -> None:
    pair = {"question1": "Why?", "question2": "", "label": "duplicate", "idx": 3}
    assert read("qqp", "en", pair) == Reading(None, is_dropped=True)
    result = read("qqp", "en", pair, question2="Why not?").example
    assert getattr(result, "label", None) == "duplicate"


def test_copas_question_stands_before_its_premise() -> None:
    row = {"premise": "Kodi ya mlango.", "choice1": "A.", "choice2": "B.", "label": 1}
    result = read("xcopa", "sw", row, question="cause").example
    assert getattr(result, "text", None) == "What was the cause? Kodi ya mlango."
    assert getattr(result, "label", None) == 1
    assert getattr(result, "choices", None) == ("A.", "B.")
    changes = {"question is 'why'; expected one of": {"question": "why"}, "label '2'": {"label": 2}}
    for message, change in changes.items():
        with pytest.raises(Refusal, match=message):
            read("xcopa", "sw", {**row, "question": "cause"}, **change)


def test_pairs_of_bucc_are_named_by_their_sentences() -> None:
    row = {
        "source_sentence": "Ein Haus.",
        "target_sentence": "A house.",
        "source_lang": "de-000000033",
        "target_lang": "en-000000007",
    }
    expected = RetrievalExample(id="de-000000033", text="Ein Haus.", pivot="A house.")
    assert read("buccpairs", "de", row).example == expected
    for column in ("source_lang", "target_lang"):
        with pytest.raises(Refusal, match=rf"{column} is 'ru-1'.* mixed languages"):
            read("buccpairs", "de", row, **{column: "ru-1"})


def test_a_sentence_of_a_corpus_knows_its_partners() -> None:
    row = {"id": "de-1", "sentence": "Ein Haus. ", "is_pivot": False, "partners": ["en-7"]}
    result = read("bucc", "de", row).example
    assert result == SentenceExample(
        id="de-1", text="Ein Haus.", is_pivot=False, partners=("en-7",)
    )
    assert read("bucc", "de", row, sentence="  ") == Reading(None, is_dropped=True)


def test_wrong_offsets_are_mended_and_counted() -> None:
    result = read("tydiqa", "fi", TYDIQA)
    assert isinstance(result.example, SpanExample)
    assert result.example.answers == (Answer(text="tässä", start=19),)
    assert result.num_mended == 1
    right = read("tydiqa", "fi", TYDIQA, answers={"text": ["tässä"], "answer_start": [6]})
    assert isinstance(right.example, SpanExample)
    assert right.example.answers[0].start == 6
    assert right.num_mended == 0


def test_tydiqas_language_stands_in_the_id() -> None:
    assert read("tydiqa", "ru", TYDIQA) == Reading(None)
    with pytest.raises(
        Refusal, match=r"row 'suomi-3-0': its id starts with the language 'suomi'; ex"
    ):
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
    result = read("cosmosqa", "en", cosmos).example
    assert getattr(result, "label", None) == 3
    assert getattr(result, "text", None) == "Why? Rain."


def test_rows_of_one_document_say_so() -> None:
    """Cosmos QA asks several questions on a context; HellaSwag takes several rows from a video."""
    cosmos = {"id": "c", "context": "Rain.", "question": "Why?", "label": 3}
    cosmos.update({f"answer{number}": f"Because {number}." for number in range(4)})
    video = {**HELLASWAG, "source_id": "activitynet~v_1"}
    rows = [("cosmosqa", cosmos), ("hellaswag", video), ("hellaswag", HELLASWAG), ("csqa", CSQA)]
    result = [getattr(read(task, "en", row).example, "document", None) for task, row in rows]
    assert result == ["Rain.", "activitynet~v_1", "", ""]


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
        ("csqa", CSQA, {"answerKey": "E"}, "row 'q': label 'E' is not one of its choices A, B, C"),
        ("csqa", CSQA, {"choices": None}, "column 'choices' is None"),
        ("hellaswag", HELLASWAG, {"label": "4"}, "label '4' is not one of its choices"),
        ("hellaswag", HELLASWAG, {"endings": ["a", None]}, "expected a list of texts"),
        ("panx", PANX, {"langs": ["en"]}, "has words of en, expected only de: mixed languages"),
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
