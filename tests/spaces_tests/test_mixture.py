import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.mixture import Mixture, proportions
from spaces.refusal import Refusal
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.source import Source
from tests.by_name import mixture_of, sources_of

TRAINING = sorted(
    f"{task.name}@{language}"
    for task in SHIPPED
    if task.trains and not task.train_on
    for language in task.languages
)
weights = st.dictionaries(st.sampled_from(TRAINING), st.floats(0, 1e9), min_size=1).filter(
    lambda result: any(weight > 1e-9 for weight in result.values())
)


@given(weights)
def test_shares_sum_to_one_and_survive_json(result: dict[str, float]) -> None:
    mixture = mixture_of(result)
    assert math.isclose(math.fsum(share for _, share in mixture.shares), 1)
    assert list(mixture.sources) == sorted(set(mixture.sources))
    assert Mixture.from_dict(json.loads(json.dumps(mixture.to_dict())), SHIPPED) == mixture


def test_shares_are_proportional_to_their_weights() -> None:
    mixture = mixture_of({"rel": 3, "fact": 1, "coh": 0})
    assert mixture.shares == (
        (Source(SHIPPED.get("fact"), "en"), 0.25),
        (Source(SHIPPED.get("rel"), "en"), 0.75),
    )
    assert str(mixture) == "fact:0.25+rel:0.75"
    assert str(mixture_of({"fact@de": 2})) == "fact@de"


def test_a_source_in_its_own_language_is_the_task() -> None:
    assert mixture_of({"fact": 1, "fact@en": 1}) == mixture_of({"fact": 1})


def test_the_capped_proportions_of_the_paper() -> None:
    rows = {
        "anli": 1_104_934,
        "mnli": 392_702,
        "qqp": 363_846,
        "squad2": 130_319,
        "squad1": 87_599,
        "hellaswag": 39_905,
        "ccg": 38_015,
        "cosmosqa": 25_262,
        "csqa": 9_741,
    }
    result = proportions(list(rows.values()), temperature=1, cap=2**17)
    shares = [weight / sum(result) for weight in result]
    by_hand = [0.181, 0.181, 0.181, 0.180, 0.121, 0.055, 0.0525, 0.035, 0.0135]
    assert shares == pytest.approx(by_hand, abs=6e-4)


def test_temperature_brings_shares_together() -> None:
    large, small = proportions([1600, 100], temperature=2, cap=None)
    assert large / small == pytest.approx(4)  # by hand: sqrt(16)
    assert proportions([9, 3], temperature=1e9, cap=None)[1] == pytest.approx(1)
    assert proportions([10**6, 1], temperature=1e-3, cap=None) == [1, 0]


def test_proportional_counts_the_rows_that_are_read() -> None:
    rel, fact = SHIPPED.get("rel").num_train_rows, SHIPPED.get("fact").num_train_rows
    whole = Mixture.proportional(sources_of(["rel", "fact"]), temperature=1, cap=None)
    assert whole.to_dict() == pytest.approx(
        {"rel@en": rel / (rel + fact), "fact@en": fact / (rel + fact)}
    )
    halved = Mixture.proportional(
        sources_of(["rel", "fact"]), temperature=1, cap=None, max_train_rows=100
    )
    capped = Mixture.proportional(sources_of(["rel", "fact"]), temperature=1, cap=100)
    assert halved == capped == mixture_of({"rel": 1, "fact": 1})


@given(
    st.lists(st.integers(1, 10**7), min_size=1),
    st.floats(0.01, 100),
    st.none() | st.integers(1, 10**7),
)
def test_proportions_keep_the_order_of_the_rows(rows, temperature, cap) -> None:
    result = proportions(rows, temperature=temperature, cap=cap)
    assert max(result) == 1
    order = sorted(range(len(rows)), key=lambda place: rows[place])
    values = [result[place] for place in order]
    assert values == sorted(values)


@pytest.mark.parametrize(
    "weights",
    [{}, {"rel": 0.0}, {"rel": -1.0, "fact": 2.0}, {"rel": math.nan}, {"rel": math.inf}],
)
def test_weights_that_make_no_mixture_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(Refusal):
        mixture_of(weights)


@pytest.mark.parametrize(
    "shares",
    [
        (),
        ((Source(SHIPPED.get("rel"), "en"), 0.4),),
        ((Source(SHIPPED.get("rel"), "en"), 0.5), (Source(SHIPPED.get("fact"), "en"), 0.5)),
        ((Source(SHIPPED.get("fact"), "en"), 0.5), (Source(SHIPPED.get("fact"), "en"), 0.5)),
        ((Source(SHIPPED.get("fact"), "en"), 0.0), (Source(SHIPPED.get("rel"), "en"), 1.0)),
    ],
)
def test_shares_that_are_not_valid_do_not_exist(shares) -> None:
    with pytest.raises(Refusal):
        Mixture(shares)


@pytest.mark.parametrize(
    "options", [{"temperature": 0}, {"temperature": math.inf}, {"cap": 0}, {"cap": -1}]
)
def test_settings_of_proportions_are_refused(options: dict) -> None:
    with pytest.raises(Refusal, match=next(iter(options))):
        Mixture.proportional(sources_of(["rel"]), **{"temperature": 1, "cap": None, **options})


def test_no_rows_are_no_mixture() -> None:
    with pytest.raises(Refusal, match="max_train_rows must be above zero"):
        Mixture.proportional(sources_of(["rel"]), temperature=1, cap=None, max_train_rows=0)
    with pytest.raises(Refusal, match="needs one share above zero"):
        Mixture.proportional(sources_of([]), temperature=1, cap=None)


def test_a_task_in_many_languages_is_named_once() -> None:
    text = {f"text@{code}": 1.0 for code in ("de", "en", "es", "fi")}
    assert str(mixture_of(text)) == "text(4 languages)"
    assert str(mixture_of({**text, "fact": 4.0})) == "fact:0.50+text(4 languages):0.50"


def test_one_mixture_beside_another() -> None:
    both = mixture_of({"fact": 1, "rel": 3}).combined_with(mixture_of({"text@de": 1}), share=0.2)
    assert both.to_dict() == pytest.approx({"fact@en": 0.2, "rel@en": 0.6, "text@de": 0.2})
    for share in (0.0, 1.0, math.nan):
        with pytest.raises(Refusal, match="between 0 and 1"):
            both.combined_with(both, share=share)


@pytest.mark.parametrize(
    ("weights", "name"),
    [
        ({"fact": 1}, "fact"),
        ({"mnli@de": 1}, "mnli@de"),
        ({"fact": 1, "coh": 3}, "coh:0.75+fact:0.25"),
        ({"fact": 1, "coh": 1, "rel": 1, "seq": 1, "mnli@de": 1}, "5 tasks"),
        ({"fact": 1, "flores@de": 2, "flores@sw": 2}, "fact +flores:0.80"),
        ({"flores@de": 1, "flores@sw": 3}, "flores"),
    ],
)
def test_the_short_name_has_masked_text_last(weights: dict[str, float], name: str) -> None:
    assert mixture_of(weights).short == name
