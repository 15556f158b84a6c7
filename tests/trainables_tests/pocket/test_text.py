from itertools import islice

import pytest

from trainables.pocket.cldr import LANGUAGES
from trainables.pocket.text import pretraining_text


def test_shares_and_repeatability() -> None:
    text = list(pretraining_text(4000, seed=3))
    assert text[:50] == list(pretraining_text(50, seed=3))
    assert text[:50] != list(pretraining_text(50, seed=4))
    assert len({row.id for row in text}) == 4000
    parallel = sum(row.pair is not None for row in text) / len(text)
    assert 0.67 < parallel < 0.73
    assert all(row.text and row.pair != "" for row in text)


def test_nothing_is_made_ahead() -> None:
    assert len(list(islice(pretraining_text(10**9, seed=0, languages=LANGUAGES[:3]), 10))) == 10


def test_a_pair_needs_two_languages() -> None:
    with pytest.raises(ValueError, match="two languages"):
        next(pretraining_text(1, seed=0, languages=("en",)))
