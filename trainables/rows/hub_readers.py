"""One reader per family of data sets: it turns a raw row of the hub into an example."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from spaces.languages import get_language
from spaces.refusal import shown, unknown
from spaces.tasks.origin import Layout
from spaces.tasks.task import Task, TaskKind
from trainables.examples import (
    ChoiceExample,
    PairExample,
    RetrievalExample,
    SentenceExample,
    TextExample,
)
from trainables.formats.base import RowError
from trainables.row_files.raw import half_pair
from trainables.rows.own_readers import KIND_READERS
from trainables.rows.reading import Reader, Reading, Row, read_squad, read_tagged

PLACEHOLDER = "NS"  # in PAWS-X in place of a sentence that was not translated
PIVOT = "eng"
COPA_QUESTIONS: Mapping[str, str] = MappingProxyType(
    {"cause": "What was the cause?", "effect": "What happened as a result?"}
)


def _mnli(row: Row) -> Reading:
    """Rows whose machine translation is empty are dropped."""
    premise, hypothesis = row.text("premise"), row.text("hypothesis")
    if row.language != row.task.source_language and not (premise.strip() and hypothesis.strip()):
        return Reading(None, is_dropped=True)
    label = row.label("label")
    return Reading(PairExample(id=row.id, text_a=premise, text_b=hypothesis, label=label))


def _snli(row: Row) -> Reading:
    """Pairs without a label, because the annotators did not agree, are dropped."""
    if row.content.get("label") is None:
        return Reading(None, is_dropped=True)
    return _mnli(row)


def _qqp(row: Row) -> Reading:
    """Pairs with an empty question are dropped; the release has a few."""
    first, second = row.text("question1"), row.text("question2")
    if not (first.strip() and second.strip()):
        return Reading(None, is_dropped=True)
    return Reading(PairExample(id=row.id, text_a=first, text_b=second, label=row.label("label")))


def _pawsx(row: Row) -> Reading:
    first, second = row.text("sentence1"), row.text("sentence2")
    if PLACEHOLDER in (first.strip(), second.strip()):
        return Reading(None, is_dropped=True)
    label = row.label("label")
    name = {"0": "different", "1": "paraphrase"}.get(label, label)
    return Reading(PairExample(id=row.id, text_a=first, text_b=second, label=name))


def _tydiqa(row: Row) -> Reading:
    """One config holds all languages; the part of the id before the first hyphen is the
    language."""
    name, _, _ = row.id.partition("-")
    known = {get_language(code).name.lower(): code for code in row.task.languages}
    if name not in known:
        raise row.error(
            f"its id starts with the language {shown(name)}; expected one of "
            f"{', '.join(sorted(known))}"
        )
    return read_squad(row) if known[name] == row.language else Reading(None)


def _hellaswag(row: Row) -> Reading:
    endings = row.texts("endings")
    numbers = tuple(map(str, range(len(endings))))
    label = row.position("label", numbers)
    # A video or an article, with several rows each.
    document = row.text("source_id") if row.content.get("source_id") else ""
    return Reading(
        ChoiceExample(
            id=row.id, text=row.text("ctx"), choices=endings, label=label, document=document
        )
    )


def _csqa(row: Row) -> Reading:
    choices = row.content.get("choices")
    if not isinstance(choices, Mapping) or not {"text", "label"} <= choices.keys():
        raise row.error(f"column 'choices' is {shown(choices)}, expected text and label")
    listed = Row(choices, row.task, row.language, row.id)
    label, texts = row.position("answerKey", listed.texts("label")), listed.texts("text")
    return Reading(ChoiceExample(id=row.id, text=row.text("question"), choices=texts, label=label))


def _cosmosqa(row: Row) -> Reading:
    """The question comes first, so that a long text loses the end of its context."""
    numbers = ("0", "1", "2", "3")
    choices = tuple(row.text(f"answer{number}") for number in numbers)
    context = row.text("context")
    text = f"{row.text('question')} {context}"
    label = row.position("label", numbers)
    return Reading(
        ChoiceExample(id=row.id, text=text, choices=choices, label=label, document=context)
    )


def _xcopa(row: Row) -> Reading:
    """The question comes first, in English, as in the rows of Cosmos QA that the task trains on."""
    question = row.text("question")
    if question not in COPA_QUESTIONS:
        raise row.error(
            f"question is {shown(question)}; expected one of {', '.join(COPA_QUESTIONS)}"
        )
    choices = (row.text("choice1"), row.text("choice2"))
    text = f"{COPA_QUESTIONS[question]} {row.text('premise')}"
    label = row.position("label", ("0", "1"))
    return Reading(ChoiceExample(id=row.id, text=text, choices=choices, label=label))


def _udpos(row: Row) -> Reading:
    return read_tagged(row, _tags_of(row, "pos_tags"))


def _panx(row: Row) -> Reading:
    column = _tags_of(row, "ner_tags")
    others = {*row.texts("langs")} - {row.language} if column == "ner_tags" else ()
    if others:
        raise row.error(
            f"has words of {', '.join(sorted(others))}, expected only {row.language}: "
            "mixed languages"
        )
    return read_tagged(row, column)


def _tags_of(row: Row, column: str) -> str:
    """Rows of your own may have the columns of the kind in place of the hub's, as those of CoNLL
    files have."""
    is_own = column not in row.content and "tags" in row.content
    return "tags" if is_own else column


def _tatoeba(row: Row) -> Reading:
    """Sentences end in a newline. `source_lang` is the path of a cache file or the code of the
    language."""
    expected = {"source_lang": get_language(row.language).iso3, "target_lang": PIVOT}
    for column, code in expected.items():
        named = row.text(column)
        if len(named) == len(code) and named != code:
            raise row.error(f"{column} is {shown(named)}, expected {code!r}: mixed languages")
    text, pivot = row.text("source_sentence").strip(), row.text("target_sentence").strip()
    return Reading(RetrievalExample(id=row.id, text=text, pivot=pivot))


def _buccpairs(row: Row) -> Reading:
    """Gold pairs. `source_lang` and `target_lang` hold the ids of the sentences: `de-000000033`."""
    for column, code in (("source_lang", row.language), ("target_lang", "en")):
        named = row.text(column)
        if not named.startswith(f"{code}-"):
            raise row.error(
                f"{column} is {shown(named)}, expected an id in {code!r}: mixed languages"
            )
    text, pivot = row.text("source_sentence").strip(), row.text("target_sentence").strip()
    return Reading(RetrievalExample(id=row.text("source_lang"), text=text, pivot=pivot))


def _bucc(row: Row) -> Reading:
    """One sentence of one of the two corpora. `partners` lists the ids of its gold translations."""
    text = row.text("sentence").strip()
    if not text:
        return Reading(None, is_dropped=True)
    is_pivot, partners = row.content.get("is_pivot"), row.texts("partners")
    if not isinstance(is_pivot, bool):
        raise row.error(f"column 'is_pivot' is {shown(is_pivot)}, expected true or false")
    return Reading(SentenceExample(id=row.id, text=text, is_pivot=is_pivot, partners=partners))


def _flores(row: Row) -> Reading:
    return Reading(TextExample(id=row.id, text=row.text("sentence").strip(), pair=None))


READERS: Mapping[str, Reader] = MappingProxyType(
    {
        "bucc": _bucc,
        "buccpairs": _buccpairs,
        "ccg": KIND_READERS[TaskKind.TAGGING],
        "cosmosqa": _cosmosqa,
        "csqa": _csqa,
        "flores": _flores,
        "hellaswag": _hellaswag,
        "mnli": _mnli,
        "panx": _panx,
        "pawsx": _pawsx,
        "qqp": _qqp,
        "snli": _snli,
        "mlqa": read_squad,
        "squad": read_squad,
        "squad2": read_squad,
        "xquad": read_squad,
        "tatoeba": _tatoeba,
        "tydiqa": _tydiqa,
        "udpos": _udpos,
        "xcopa": _xcopa,
        "xnli": _mnli,
    }
)


def reader_of(task: Task, language: str) -> Reader:
    """The reader of the task's rows in this language. Raises Refusal for an unknown reader."""
    name = task.origin_of(language).reader
    if not name:
        return KIND_READERS[task.kind]
    if name not in READERS:
        raise unknown(f"reader of task {task.name!r}", name, READERS)
    return READERS[name]


def read_row(
    content: Mapping[str, Any], task: Task, language: str, *, reader: Reader, fallback_id: str
) -> Reading:
    """The result of reading one raw row. `fallback_id` is its id where it has none. Raises RowError
    with that id."""
    row_id = _id_of(content, task, language, fallback_id)
    broken = half_pair(content)
    if broken is not None:
        raise RowError(task, row_id, broken)
    return reader(Row(content, task, language, row_id))


def _id_of(content: Mapping[str, Any], task: Task, language: str, fallback_id: str) -> str:
    """The id of a row. Data sets of the hub may have whole numbers; rows of your own have text."""
    is_own = task.origin_of(language).layout is Layout.ROWS
    for name in ("id", "pairID", "uid"):
        value = content.get(name)
        if value is None or value == "" or not (value or is_own):
            continue
        if isinstance(value, str):
            return value
        if isinstance(value, int) and not isinstance(value, bool) and not is_own:
            return str(value)
        raise RowError(
            task,
            fallback_id,
            f"its {name} is {shown(value)}, expected text; write it as text, or leave the column "
            "out: a row without an id is named by its place",
        )
    return fallback_id
