"""What of an answer's text counts when answers are compared. Pure; no torch."""

import re
import string
import unicodedata
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from spaces.refusal import unknown

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")

# By language, what MLQA's script takes for articles; Hindi and Chinese have none.
_MLQA_ARTICLES: Mapping[str, re.Pattern[str] | None] = MappingProxyType(
    {
        "ar": re.compile("ال"),  # wherever it stands, inside a word too
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
    """Lower case, without ASCII punctuation, English articles and surplus white space.

    Source: the SQuAD v1.1 evaluation script (Rajpurkar et al. 2016); XTREME uses it for XQuAD
    and TyDiQA in every language (google-research/xtreme, evaluate.py).
    """
    bare = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def mlqa_normalizer(language: str) -> Callable[[str], str]:
    """Lower case, without any punctuation of Unicode, the language's articles and surplus white
    space; in Chinese every Han character is a token of its own.

    Source: the evaluation script of MLQA (facebookresearch/MLQA, mlqa_evaluation_v1.py), which
    XTREME uses for MLQA alone. Raises Refusal for a language that MLQA has no rules for.
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
    """ASCII counts `$`, `+` and the like, which Unicode takes for symbols."""
    return char in string.punctuation or unicodedata.category(char).startswith("P")
