import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.refusal import Refusal
from spaces.sections import SelectionRule
from trainables.scores import Mark, Scores, ScoringProtocol, TargetScores, objective

PROTOCOL = ScoringProtocol(
    task="coh",
    metric="accuracy",
    split="validation",
    selection="target_dev",
    data="d",
    labels="l",
    rows=0,
    layer=None,
    pooling=None,
    max_length=64,
    training_version=1,
)


def target(task: str, **languages: float) -> TargetScores:
    return TargetScores(
        task=task,
        main="accuracy",
        source_language="en",
        chance=0.5,
        languages={code: {"accuracy": v, "other": 0.0} for code, v in languages.items()},
        num_rows=dict.fromkeys(languages, 10),
        protocol=replace(PROTOCOL, task=task),
    )


COH = target("coh", en=0.9, de=0.8, ja=0.6, sw=0.4)
FACT = target("fact", en=0.7, de=0.5, ja=0.1)
RETRIEVAL = target("retrieval", de=0.4, sw=0.2)
SCORES = Scores(targets=(COH, FACT, RETRIEVAL), of_interest=("coh", "fact"))
ALL = replace(SCORES, of_interest=())


def test_a_target_knows_its_means() -> None:
    assert list(COH.by_language) == ["en", "de", "ja", "sw"]
    assert COH.source == 0.9
    assert COH.zero_shot_mean == pytest.approx(0.6)
    assert COH.transfer_gap == pytest.approx(0.3)
    assert RETRIEVAL.source is None
    assert RETRIEVAL.transfer_gap is None
    assert RETRIEVAL.zero_shot_mean == pytest.approx(0.3)


def test_means_over_the_objective_targets() -> None:
    assert SCORES.zero_shot_mean == pytest.approx((0.6 + 0.3) / 2)
    assert SCORES.transfer_gap == pytest.approx((0.3 + 0.4) / 2)
    assert SCORES.worst_language == ("fact", "ja", 0.1)
    assert ALL.zero_shot_mean == pytest.approx((0.6 + 0.3 + 0.3) / 3)
    assert ALL.transfer_gap == pytest.approx(0.35)
    assert Scores(targets=(RETRIEVAL,)).transfer_gap is None


@pytest.mark.parametrize(
    ("scores", "rule", "pivots", "by_hand"),
    [
        (SCORES, SelectionRule.TARGET_DEV, (), (0.6 + 0.3) / 2),
        (ALL, SelectionRule.TARGET_DEV, (), (0.6 + 0.3 + 0.3) / 3),
        (SCORES, SelectionRule.SOURCE_DEV, (), (0.9 + 0.7) / 2),
        (ALL, SelectionRule.SOURCE_DEV, (), (0.9 + 0.7) / 2),  # retrieval has no source rows
        (SCORES, SelectionRule.PIVOT_DEV, ("de",), (0.8 + 0.5) / 2),
        (SCORES, SelectionRule.PIVOT_DEV, ("de", "sw"), (0.6 + 0.5) / 2),
        (SCORES, SelectionRule.PIVOT_DEV, ("sw",), 0.4),  # fact has none
        (ALL, SelectionRule.PIVOT_DEV, ("sw",), (0.4 + 0.2) / 2),
    ],
)
def test_the_objective_by_hand(scores, rule, pivots, by_hand: float) -> None:
    assert objective(scores, rule, pivot_languages=pivots) == pytest.approx(by_hand)


def test_a_rule_without_rows_is_refused() -> None:
    alone = Scores(targets=(RETRIEVAL,))
    with pytest.raises(Refusal, match="source_dev"):
        objective(alone, SelectionRule.SOURCE_DEV)
    with pytest.raises(Refusal, match="pivot_dev"):
        objective(SCORES, SelectionRule.PIVOT_DEV, pivot_languages=("ru",))


def test_a_rung_has_the_targets_that_are_there() -> None:
    rung = replace(SCORES, targets=(COH,))
    assert objective(rung, SelectionRule.TARGET_DEV) == pytest.approx(0.6)


scored = st.dictionaries(st.sampled_from(["de", "ja", "sw"]), st.floats(0, 1), min_size=1)


@given(st.lists(scored, min_size=1, max_size=4), st.sampled_from(SelectionRule), st.floats(0, 1))
def test_the_objective_lies_between_zero_and_one(languages, rule, source: float) -> None:
    targets = tuple(target(f"t{i}", en=source, **found) for i, found in enumerate(languages))
    value = objective(Scores(targets=targets), rule, pivot_languages=("en",))
    assert 0 <= value <= 1


def test_scores_survive_json() -> None:
    marked = replace(SCORES, targets=(replace(COH, mark=Mark.COLLAPSED), RETRIEVAL))
    assert Scores.from_dict(json.loads(json.dumps(marked.to_dict()))) == marked
    assert marked.is_collapsed
    assert not SCORES.is_collapsed


def test_protocols_that_differ_name_the_fields() -> None:
    assert PROTOCOL.differences(PROTOCOL) == []
    other = replace(PROTOCOL, split="test", layer=3, data="e")
    assert PROTOCOL.differences(other) == ["split", "data", "layer"]
    assert PROTOCOL.differences(replace(PROTOCOL, cut="half")) == ["cut"]
    assert PROTOCOL.differences(replace(PROTOCOL, revision="a" * 40)) == []  # the data digest says


def test_a_target_without_zero_shot_languages_is_refused() -> None:
    with pytest.raises(Refusal, match="no zero-shot language"):
        target("coh", en=0.5)
