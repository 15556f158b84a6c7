import dataclasses
import re
from typing import Any

import pytest

from spaces.intermediates import Intermediates, read
from spaces.masking import PROPORTIONAL, Masking
from spaces.refusal import Refusal
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.pocket_tasks import TEXT
from tests.by_name import mixture_of, sources_of

CHOICE = Intermediates(
    catalogue=SHIPPED,
    mixture="choice",
    listed=("fact", "rel@de", "fact+rel", "all"),
    temperature=1.0,
    cap=None,
)
SHARES = dataclasses.replace(CHOICE, mixture="shares", listed=("fact", "rel"))
MASKING = Masking(text=TEXT, languages=("de", "es"), shares=(PROPORTIONAL, 0.5))


def test_the_baseline_is_an_option_even_if_it_is_not_named() -> None:
    assert dataclasses.replace(CHOICE, listed=("fact",)).options == ("none", "fact")
    assert SHARES.options == ("none", "mixture")


def test_the_members_of_an_option_are_sources() -> None:
    assert CHOICE.sources == ("fact", "rel@de", "rel")
    assert CHOICE.members("all") == tuple(sources_of(CHOICE.sources))
    assert CHOICE.members("fact+rel") == tuple(sources_of(["fact", "rel"]))
    assert SHARES.members("mixture") == tuple(sources_of(["fact", "rel"]))
    assert CHOICE.members("none") == ()


def test_an_option_and_a_share_mean_a_mixture() -> None:
    result = CHOICE.mixture_of("fact+rel", 0.0, {}, max_train_rows=10)
    assert result == mixture_of({"fact": 0.5, "rel": 0.5})
    drawn = SHARES.mixture_of("mixture", 0.0, {"mix.fact": 0.5, "mix.rel": 0.5}, max_train_rows=10)
    assert drawn == result
    masked = dataclasses.replace(CHOICE, masking=MASKING)
    beside = masked.mixture_of("fact", 0.5, {}, max_train_rows=10)
    assert beside.to_dict() == {"fact@en": 0.5, "text@de": 0.25, "text@es": 0.25}
    alone = masked.mixture_of("none", PROPORTIONAL, {}, max_train_rows=10)
    assert alone.to_dict() == {"text@de": 0.5, "text@es": 0.5}


def test_params_name_an_option_and_a_share() -> None:
    masked = dataclasses.replace(CHOICE, masking=MASKING)
    assert masked.option_of({"intermediate": "all"}) == "all"
    assert masked.share_of({"mlm.share": PROPORTIONAL}) == PROPORTIONAL
    assert CHOICE.share_of({}) == 0.0, "without masking there is no such parameter"
    with pytest.raises(Refusal, match="unknown intermediate 'fcat'"):
        masked.option_of({"intermediate": "fcat"})
    with pytest.raises(Refusal, match=r"mlm.share is 0.3; expected one of 0.0, proportional, 0.5"):
        masked.share_of({"mlm.share": 0.3})
    with pytest.raises(Refusal, match=r"have no 'mlm.share': they are not of this search space"):
        read({}, "mlm.share")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"listed": ("fact", "fact")}, "each once"),
        ({"listed": ("all",)}, "at least one source"),
        ({"listed": ("none",), "mixture": "shares"}, "at least one source"),
        ({"listed": ("fact", "fcat")}, "unknown task 'fcat'"),
        ({"listed": ("fact+",)}, "unknown task ''"),
        ({"listed": ("retrieval",)}, "has no training rows"),
        ({"mixture": "shares"}, "lists plain sources"),
        (
            {"mixture": "shares", "listed": ("fact", "rel"), "masking": MASKING},
            "space.mlm.shares are numbers",
        ),
    ],
)
def test_options_that_mean_no_mixtures_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(Refusal, match=re.escape(message)):
        dataclasses.replace(CHOICE, **change)
