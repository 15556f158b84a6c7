import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.refusal import Refusal
from spaces.study_file.sections import SelectionRule
from tests.scored import COH, FACT, PROTOCOL, RETRIEVAL, target
from trainables.scoring.scores import (
    XTREME_GROUPS,
    Mark,
    Scores,
    ScoringProtocol,
    objective,
    protocol_differences,
    task_score,
    xtreme_averages,
)

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
    targets = tuple(target(f"t{i}", en=source, **result) for i, result in enumerate(languages))
    value = objective(Scores(targets=targets), rule, pivot_languages=("en",))
    assert 0 <= value <= 1


def test_scores_survive_json() -> None:
    marked = replace(SCORES, targets=(replace(COH, mark=Mark.COLLAPSED), RETRIEVAL))
    assert Scores.from_dict(json.loads(json.dumps(marked.to_dict()))) == marked
    assert marked.is_collapsed
    assert not SCORES.is_collapsed
    aside = replace(SCORES, targets=(COH, FACT, replace(RETRIEVAL, mark=Mark.COLLAPSED)))
    assert not aside.is_collapsed, "a target that is no objective spoils no mean"


def test_a_record_from_before_fertility_is_read() -> None:
    counted = replace(SCORES, targets=(replace(COH, fertility={"de": 1.25}),))
    data = json.loads(json.dumps(counted.to_dict()))
    assert Scores.from_dict(data) == counted
    del data["targets"][0]["fertility"]
    assert Scores.from_dict(data).targets == (COH,)


def test_protocols_that_differ_name_the_fields() -> None:
    assert PROTOCOL.differences(PROTOCOL) == []
    other = replace(PROTOCOL, split="test", layer=3, data="e")
    assert PROTOCOL.differences(other) == ["split", "data", "layer"]
    assert PROTOCOL.differences(replace(PROTOCOL, cut="half")) == ["cut"]
    assert PROTOCOL.differences(replace(PROTOCOL, revision="a" * 40)) == []  # the data digest says


def test_scores_by_two_versions_of_a_metric_do_not_compare() -> None:
    """Records from before the version was said are of version 1, under the digest that they had."""
    old = {name: value for name, value in asdict(PROTOCOL).items() if name != "scoring_version"}
    assert ScoringProtocol(**old) == PROTOCOL
    assert PROTOCOL.digest == "466fd8ca22ad5482"
    new = replace(PROTOCOL, scoring_version=2)
    assert PROTOCOL.differences(new) == ["scoring_version"]
    assert new.digest != PROTOCOL.digest


def test_differences_between_scores_have_both_values() -> None:
    one, same = target("coh", en=0.5, de=0.4), target("coh", en=0.6, de=0.4)
    other = replace(same, protocol=replace(PROTOCOL, cut="half", data="e"))
    third = replace(same, protocol=replace(PROTOCOL, cut="whole", layer=3))
    assert protocol_differences([one, same]) == {}
    assert protocol_differences([one, same, other, third]) == {
        "coh": {"cut": ("", "half"), "data": ("d", "e"), "layer": (None, 3)}
    }


def test_a_target_without_zero_shot_languages_is_refused() -> None:
    with pytest.raises(Refusal, match="no zero-shot language"):
        target("coh", en=0.5)


def test_a_tasks_score_is_the_mean_over_all_its_languages() -> None:
    assert task_score(COH) == pytest.approx((0.9 + 0.8 + 0.6 + 0.4) / 4)
    assert task_score(RETRIEVAL) == pytest.approx(RETRIEVAL.zero_shot_mean)  # English has none
    answers = replace(
        COH,
        main="f1",
        languages={
            "en": {"f1": 0.8, "exact_match": 0.6, "qa_score": 0.7},
            "de": {"f1": 0.6, "exact_match": 0.2, "qa_score": 0.4},
        },
    )
    assert task_score(answers) == pytest.approx(0.55)


def test_xtremes_averages_by_hand() -> None:
    """The published test scores of XLM-R Large with POS 73.8, whose mean is 68.25."""
    published = {
        "xnli": 79.2,
        "pawsx": 86.4,
        "udpos": 73.8,
        "panx": 65.4,
        "xquad": (76.6 + 60.8) / 2,
        "mlqa": (71.6 + 53.2) / 2,
        "tydiqa": (65.1 + 45.0) / 2,
        "bucc": 66.0,
        "tatoeba": 57.3,
    }
    result = xtreme_averages(published)
    assert result["all"] == pytest.approx(68.25, abs=0.005)
    assert result["classification"] == pytest.approx(82.8)
    assert result["tagging"] == pytest.approx(69.6)
    assert result["qa"] == pytest.approx(62.05)
    assert result["retrieval"] == pytest.approx(61.65)
    assert result["without_retrieval"] == pytest.approx((2 * 82.8 + 2 * 69.6 + 3 * 62.05) / 7)
    assert set(published) == {task for tasks in XTREME_GROUPS.values() for task in tasks}


def test_an_average_that_lacks_a_task_is_not_given() -> None:
    eight = {task: 0.5 for tasks in XTREME_GROUPS.values() for task in tasks if task != "bucc"}
    result = xtreme_averages({**eight, "buccpairs": 0.9, "coh": 0.1})
    assert result.keys() == {"without_retrieval", "classification", "tagging", "qa"}
    assert set(result.values()) == {0.5}
