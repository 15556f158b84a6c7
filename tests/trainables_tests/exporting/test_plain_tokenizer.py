"""Plain calls of an exported tokenizer give the sequences of our formats."""

import copy
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, BertConfig, DebertaV2Config, PreTrainedTokenizerFast

from spaces.tasks.catalogue import SHIPPED
from trainables.encoders.prefix import add_prefix
from trainables.examples import ChoiceExample, PairExample
from trainables.exporting.plain_tokenizer import plain_tokenizer
from trainables.formats.base import collate
from trainables.formats.kinds import format_of_task

NAMES = ("tokenizer", "byte_level", "wordpiece")
TEXTS = st.lists(st.sampled_from(["the", "old", "cat", "東京", "sea"]), min_size=1, max_size=30)
REL, FACT = SHIPPED.get("rel"), SHIPPED.get("fact")


@pytest.fixture(scope="module", params=NAMES)
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[PreTrainedTokenizerFast, PreTrainedTokenizerFast]:
    """A tokenizer, and what is read after its plain form was saved."""
    tokenizer = request.getfixturevalue(request.param)
    folder = tmp_path_factory.mktemp("plain")
    plain_tokenizer(tokenizer, BertConfig(), max_length=20).save_pretrained(folder)
    return tokenizer, AutoTokenizer.from_pretrained(folder)


@given(TEXTS, st.none() | TEXTS)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_texts_are_cut_and_marked_as_in_training(both, first, second) -> None:
    ours, plain = both
    text_a, text_b = " ".join(first), " ".join(second) if second else None
    row = PairExample(id="r", text_a=text_a, text_b=text_b, label=REL.labels[0])
    features = format_of_task(REL).encode([row], REL, tokenizer=ours, max_length=20)
    batch = collate(features, [0], pad_id=ours.pad_token_id)
    found = plain(text_a, text_b, truncation=True)
    assert found["input_ids"] == batch.input_ids[0].tolist()
    assert found["token_type_ids"] == batch.token_type_ids[0].tolist()


@given(TEXTS, TEXTS)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_choices_are_cut_by_only_first(both, text, choice) -> None:
    ours, plain = both
    texts = " ".join(text), " ".join(choice[:3])
    row = ChoiceExample(id="r", text=texts[0], choices=(texts[1], "sea"), label=0)
    features = format_of_task(FACT).encode([row], FACT, tokenizer=ours, max_length=20)
    found = plain(*texts, truncation="only_first")
    assert found["input_ids"] == features.input_ids[0].tolist()


def test_an_encoder_without_segments_gets_none(
    wordpiece: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    config = DebertaV2Config(type_vocab_size=0)
    plain_tokenizer(wordpiece, config, max_length=20).save_pretrained(tmp_path)
    assert "token_type_ids" not in AutoTokenizer.from_pretrained(tmp_path)("a", "b")


def test_a_prefix_with_a_colon(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    """As E5 has it: a BERT with the tokenizer of XLM-R."""
    with_prefix = copy.deepcopy(tokenizer)
    add_prefix(with_prefix, "sea: ")
    plain_tokenizer(with_prefix, BertConfig(), max_length=20).save_pretrained(tmp_path)
    found = AutoTokenizer.from_pretrained(tmp_path)("the old cat", "the sea")
    expected = with_prefix("the old cat", "the sea")
    assert (
        found["input_ids"] == expected["input_ids"] != tokenizer("the old cat", "the sea").input_ids
    )
    second = expected.sequence_ids(0).index(1)
    assert found["token_type_ids"] == [int(i >= second) for i in range(len(found["input_ids"]))]


def test_padding_is_at_the_right(wordpiece: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    wordpiece.save_pretrained(tmp_path / "left")
    left = AutoTokenizer.from_pretrained(tmp_path / "left", padding_side="left")
    plain_tokenizer(left, BertConfig(), max_length=20).save_pretrained(tmp_path / "plain")
    found = AutoTokenizer.from_pretrained(tmp_path / "plain")(["the", "the old cat"], padding=True)
    assert found["attention_mask"][0][0] == 1
    assert found["attention_mask"][0][-1] == 0
    assert left.padding_side == "left", "the given one is not touched"
