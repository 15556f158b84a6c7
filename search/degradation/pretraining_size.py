"""The amount of text of each language that an encoder was pretrained on, as published. Pure."""

import math
from collections.abc import Mapping
from types import MappingProxyType

PRETRAINING = "pretraining"

# GiB of text by language. Source: XLM-R (Conneau et al., 2020, ACL; arXiv 1911.02116), Table 6;
# Burmese in Unicode, Chinese in simplified characters. It lacks the rest of our languages.
_XLM_R: Mapping[str, float] = MappingProxyType(
    {
        **{"af": 1.3, "ar": 28.0, "az": 6.5, "bg": 57.5, "bn": 8.4, "ca": 10.1, "de": 66.6},
        **{"el": 46.9, "en": 300.8, "es": 53.3, "et": 6.1, "eu": 2.0, "fa": 111.6, "fi": 54.3},
        **{"fr": 56.8, "gu": 1.9, "he": 31.6, "hi": 20.2, "hu": 58.4, "id": 148.3, "it": 30.2},
        **{"ja": 69.3, "jv": 0.2, "ka": 9.1, "kk": 6.4, "ko": 54.2, "lt": 13.7, "ml": 7.6},
        **{"mr": 2.8, "ms": 8.5, "my": 1.6, "nl": 29.3, "pa": 0.8, "pl": 44.6, "pt": 49.1},
        **{"ro": 61.4, "ru": 278.0, "sw": 1.6, "ta": 12.2, "te": 4.7, "th": 71.7, "tl": 3.1},
        **{"tr": 20.9, "uk": 84.6, "ur": 5.7, "vi": 137.3, "zh": 46.9},
    }
)
_ENCODERS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "FacebookAI/xlm-roberta-base": _XLM_R,
        "FacebookAI/xlm-roberta-large": _XLM_R,
    }
)


def pretraining_sizes(encoder: str) -> dict[str, float]:
    """Language -> the decimal logarithm of the GiB of text; empty for an encoder whose sizes are
    not known. Ten times the text is one unit more."""
    return {code: math.log10(size) for code, size in _ENCODERS.get(encoder, {}).items()}
