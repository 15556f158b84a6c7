import dataclasses
import re
from typing import Any

import pytest

from spaces.masking import PROPORTIONAL, Masking
from spaces.refusal import Refusal
from spaces.tasks.catalogue import SHIPPED
from tests.by_name import sources_of

MASKING = Masking(text=SHIPPED.get("flores"), languages=("de", "sw"))


def test_languages_are_drawn_by_their_rows_to_the_power_of_the_exponent() -> None:
    """MNLI's text has no languages of unlike size, so that the rule is tried on read rows: a task
    with 100 and 20,000 rows, by hand 100**0.3 against 20000**0.3."""
    from spaces.mixture import Mixture

    rows = {"panx@jv": 100.0, "panx": 20_000.0}
    drawn = Mixture.proportional(
        sources_of(rows), temperature=1 / MASKING.exponent, cap=None
    ).to_dict()
    small, large = (count**0.3 for count in rows.values())
    assert drawn["panx@jv"] == pytest.approx(small / (small + large))
    alone = MASKING.mixture(max_train_rows=None).to_dict()
    assert alone == {"flores@de": 0.5, "flores@sw": 0.5}, "as many rows in each"


def test_all_languages_of_the_text_unless_some_are_named() -> None:
    sources = Masking(text=SHIPPED.get("flores")).sources
    assert len(sources) == len(SHIPPED.get("flores").languages)
    assert MASKING.sources == tuple(sources_of(["flores@de", "flores@sw"]))


def test_the_share_of_one_more_member_of_the_mixture() -> None:
    """By hand: 2 x 997 rows beside 9,741 and a capped 87,599."""
    share = MASKING.share_beside(
        sources_of(["csqa", "squad"]), temperature=1.0, cap=50_000, max_train_rows=None
    )
    assert share == pytest.approx(2 * 997 / (2 * 997 + 9_741 + 50_000))
    read = MASKING.share_beside(sources_of(["csqa"]), temperature=1.0, cap=None, max_train_rows=100)
    assert read == pytest.approx(200 / 300)


def test_without_masking_is_always_tried() -> None:
    assert MASKING.domain.values == (0.0, PROPORTIONAL)
    assert dataclasses.replace(MASKING, shares=(0.5, 0.0)).domain.values == (0.0, 0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"languages": ("de", "swa")}, "unknown language of 'flores' 'swa'"),
        ({"exponent": 0.0}, "exponent must lie in (0, 1]"),
        ({"shares": ()}, "got none"),
        ({"shares": (1.0,)}, "has 1.0; expected 'proportional' or a number from 0"),
        ({"shares": ("half",)}, "has 'half'"),
    ],
)
def test_what_cannot_be_masked_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(Refusal, match=re.escape(message)):
        dataclasses.replace(MASKING, **change)
