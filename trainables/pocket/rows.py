"""The rows of the pocket benchmark: `rows(task, language, split)`."""

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType

from trainables.examples import (
    Answer,
    ChoiceExample,
    Example,
    PairExample,
    RetrievalExample,
    SpanExample,
    TaggingExample,
    TextExample,
)
from trainables.pocket.cldr import LANGUAGES
from trainables.pocket.drafts import SPLITS, TASK_NAMES, Draft, drafts
from trainables.pocket.items import phrase, phrase_text
from trainables.pocket.text import document_text

PIVOT_LANGUAGE = "en"


def _pair(row_id: str, draft: Draft, language: str) -> PairExample:
    first, second = (phrase_text(items, language) for items in draft.phrases)
    return PairExample(id=row_id, text_a=first, text_b=second, label=str(draft.answer))


def _choice(row_id: str, draft: Draft, language: str) -> ChoiceExample:
    text, *choices = (phrase_text(items, language) for items in draft.phrases)
    return ChoiceExample(id=row_id, text=text, choices=tuple(choices), label=int(draft.answer))


def _span(row_id: str, draft: Draft, language: str) -> SpanExample:
    question, context = draft.phrases
    rendered = phrase(context, language)
    answer = phrase_text([context[int(draft.answer)]], language)
    first_word = rendered.starts[int(draft.answer)]
    start = sum(len(word.text) + 1 for word in rendered.words[:first_word])
    return SpanExample(
        id=row_id,
        question=phrase_text(question, language),
        context=rendered.text,
        answers=(Answer(text=answer, start=start),),
    )


def _pos(row_id: str, draft: Draft, language: str) -> TaggingExample:
    words = phrase(draft.phrases[0], language).words
    tags = tuple(word.pos for word in words)
    return TaggingExample(id=row_id, words=tuple(word.text for word in words), tags=tags)


def _ner(row_id: str, draft: Draft, language: str) -> TaggingExample:
    words = phrase(draft.phrases[0], language).words
    tags = tuple(word.entity for word in words)
    return TaggingExample(id=row_id, words=tuple(word.text for word in words), tags=tags)


def _retrieval(row_id: str, draft: Draft, language: str) -> RetrievalExample:
    text, pivot = draft.phrases
    return RetrievalExample(
        id=row_id,
        text=phrase_text(text, language),
        pivot=phrase_text(pivot, PIVOT_LANGUAGE),
    )


def _text(row_id: str, draft: Draft, language: str) -> TextExample:
    return TextExample(id=row_id, text=document_text(draft.phrases, language), pair=None)


_RENDERERS: Mapping[str, Callable[[str, Draft, str], Example]] = MappingProxyType(
    {
        "pos": _pos,
        "ner": _ner,
        "kind": _choice,
        "fact": _choice,
        "seq": _choice,
        "rel": _pair,
        "coh": _pair,
        "qakind": _span,
        "retrieval": _retrieval,
        "text": _text,
    }
)


def _check(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"unknown pocket {name} {value!r}; expected one of {', '.join(known)}")


@cache
def rows(task: str, language: str, split: str) -> tuple[Example, ...]:
    """All rows of one split. Rows of the same id are parallel over languages. Retrieval has no
    training rows. Raises ValueError for an unknown task, language or split."""
    _check("task", task, TASK_NAMES)
    _check("language", language, LANGUAGES)
    _check("split", split, SPLITS)
    render = _RENDERERS[task]
    return tuple(
        render(f"{task}-{split}-{index:04d}", draft, language)
        for index, draft in enumerate(drafts(task, split))
    )
