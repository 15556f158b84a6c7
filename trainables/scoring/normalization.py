"""Normalisation of answers before they are compared. Pure functions without torch."""

import re
import string
import unicodedata
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from spaces.refusal import unknown

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")

# The articles of each language in MLQA's script; Hindi and Chinese have none.
_MLQA_ARTICLES: Mapping[str, re.Pattern[str] | None] = MappingProxyType(
    {
        "ar": re.compile("ال"),  # at any position, inside a word too
        "de": re.compile(r"\b(?:ein(?:e[nmrs]?)?|de[rnms]|die|das)\b"),
        "en": _ARTICLES,
        "es": re.compile(r"\b(?:un|una|unos|unas|el|la|los|las)\b"),
        "hi": None,
        "vi": re.compile(r"\b(?:của|là|cái|chiếc|những)\b"),
        "zh": None,
    }
)
_HAN = re.compile("([\u4e00-\u9fa5])")


def normalize(text: str) -> str:
    """The text in lower case, without ASCII punctuation, English articles and extra white space.

    Source: the SQuAD v1.1 evaluation script (Rajpurkar et al. 2016). XTREME uses it for XQuAD and
    TyDiQA in every language (google-research/xtreme, evaluate.py).
    """
    bare = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def mlqa_normalizer(language: str) -> Callable[[str], str]:
    """A function that returns a text in lower case, without Unicode punctuation, the language's
    articles and extra white space; in Chinese every Han character becomes a token.

    Source: the evaluation script of MLQA (facebookresearch/MLQA, mlqa_evaluation_v1.py), which
    XTREME uses for MLQA alone. Raises Refusal for a language that is not in MLQA.
    """
    if language not in _MLQA_ARTICLES:
        raise unknown("language of MLQA's normalisation", language, _MLQA_ARTICLES)
    return partial(_normalize_mlqa, language=language)


def _normalize_mlqa(text: str, *, language: str) -> str:
    bare = "".join(char for char in text.lower() if not _is_punctuation(char))
    articles = _MLQA_ARTICLES[language]
    kept = articles.sub(" ", bare) if articles else bare
    return " ".join((_HAN.sub(r" \1 ", kept) if language == "zh" else kept).split())


def _is_punctuation(char: str) -> bool:
    """Whether the character is punctuation in ASCII or Unicode: ASCII includes `$`, `+` and others
    that Unicode calls symbols."""
    return char in string.punctuation or unicodedata.category(char).startswith("P")
