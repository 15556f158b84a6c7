import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.task import Task, TaskKind
from trainables.examples import TaggingExample
from trainables.formats.base import IGNORED, RowError, collate
from trainables.formats.tagging import TaggingFormat, _windows

TASK = Task(
    name="ner",
    kind=TaskKind.TAGGING,
    dataset="none",
    languages=("en",),
    metric="f1",
    chance=0.0,
    num_train_rows=1,
    labels=("B-LOC", "O", "I-LOC"),
)
ROW = TaggingExample(
    id="t1", words=("قط", "東京", "looked", "है"), tags=("O", "B-LOC", "I-LOC", "O")
)
FORMAT = TaggingFormat()


def encode(row: TaggingExample, tokenizer, *, max_length: int = 64):
    FORMAT.check(row, TASK)
    return FORMAT.encode([row], TASK, tokenizer=tokenizer, max_length=max_length)


def test_words_are_encoded_as_the_tokenizer_encodes_split_words(tokenizer, wordpiece) -> None:
    for some in (tokenizer, wordpiece):
        features = encode(ROW, some)
        expected = some(list(ROW.words), is_split_into_words=True)
        assert features.input_ids[0].tolist() == expected["input_ids"]
        seen: set[int | None] = {None}
        firsts = [-1 if w in seen or seen.add(w) else w for w in expected.word_ids(0)]
        assert features.origins[0].tolist() == firsts
        assert features.labels[0].tolist() == [
            IGNORED if word < 0 else TASK.labels.index(ROW.tags[word]) for word in firsts
        ]


def test_byte_level_words_keep_their_space(byte_level) -> None:
    row = TaggingExample(id="1", words=("cat", "sat"), tags=("O", "O"))
    body = encode(row, byte_level).input_ids[0].tolist()[1:-1]
    assert body == byte_level(" cat sat", add_special_tokens=False)["input_ids"]
    assert body != byte_level("cat sat", add_special_tokens=False)["input_ids"]


def test_long_sentences_are_split_between_words(tokenizer) -> None:
    row = dataclasses.replace(ROW, words=ROW.words * 10, tags=ROW.tags * 10)
    features = encode(row, tokenizer, max_length=16)
    assert len(features) > 1
    assert features.input_ids.lengths.max() <= 16
    assert features.num_truncated == 0
    origins = features.origins.values
    assert origins[origins >= 0].tolist() == list(range(40))
    body = [token for s in range(len(features)) for token in features.input_ids[s][1:-1].tolist()]
    assert body == tokenizer(list(row.words), is_split_into_words=True)["input_ids"][1:-1]


def test_only_a_word_longer_than_a_window_is_cut(tokenizer) -> None:
    row = dataclasses.replace(ROW, words=("東" * 40, *ROW.words[1:]))
    features = encode(row, tokenizer, max_length=12)
    assert features.num_truncated == 1
    origins = features.origins.values
    assert origins[origins >= 0].tolist() == [0, 1, 2, 3]


@given(st.lists(st.integers(0, 9), max_size=20), st.integers(1, 7))
def test_windows_have_every_word_once(sizes: list[int], room: int) -> None:
    windows = list(_windows([[7] * size for size in sizes], room))
    assert windows
    assert all(len(window.ids) == len(window.words) <= room for window in windows)
    words = [word for window in windows for word in window.words if word >= 0]
    assert words == [i for i, size in enumerate(sizes) if size]
    assert sum(len(window.ids) for window in windows) == sum(min(size, room) for size in sizes)


def test_words_without_tokens_get_o_or_the_first_label(wordpiece) -> None:
    row = TaggingExample(id="1", words=("\u0001", "cat"), tags=("I-LOC", "I-LOC"))
    features = encode(row, wordpiece)
    outputs = [features.labels[0].clip(0).astype(np.float32)]
    assert FORMAT.decode(outputs, features, [row], TASK) == [("O", "I-LOC")]
    other = dataclasses.replace(TASK, labels=("NOUN", "I-LOC"))
    outputs = [np.ones(len(features.input_ids[0]), np.float32)]
    assert FORMAT.decode(outputs, features, [row], other) == [("NOUN", "I-LOC")]


def test_a_sentence_without_any_token_still_has_a_sequence(wordpiece, tiny_encoder) -> None:
    row = TaggingExample(id="1", words=("\u0001",), tags=("O",))
    features = encode(row, wordpiece)
    batch = collate(features, [0], pad_id=0)
    assert batch.input_ids.shape == (1, 2)
    assert FORMAT.num_items(batch) == 0
    head = FORMAT.build_head(TASK, tiny_encoder)
    assert FORMAT.loss(head, torch.randn(1, 2, 32), batch).item() == 0
    outputs = FORMAT.predict(head, (torch.randn(1, 2, 32),), batch)
    assert FORMAT.decode(outputs, features, [row], TASK) == [("O",)]


def test_loss_is_over_first_subwords(tokenizer, tiny_encoder) -> None:
    features = encode(ROW, tokenizer)
    batch = collate(features, [0], pad_id=1)
    head = FORMAT.build_head(TASK, tiny_encoder)
    hidden = torch.randn(1, batch.input_ids.shape[1], 32)
    firsts = (features.origins[0] >= 0).nonzero()[0].tolist()
    expected = cross_entropy(head(hidden)[0, firsts], torch.tensor([1, 0, 2, 1]), reduction="sum")
    assert FORMAT.loss(head, hidden, batch).item() == pytest.approx(expected.item(), rel=1e-5)
    assert FORMAT.num_items(batch) == 4


def test_score_has_span_f1_and_accuracy() -> None:
    assert FORMAT.score([("O", "B-LOC", "O", "O")], [ROW], TASK, "en") == {
        "f1": 0.0,
        "accuracy": 0.75,
    }


def test_the_main_f1_is_xtremes_and_seqevals_is_beside_it() -> None:
    """Only where they can differ; the outcomes are those of the main score."""
    udpos = SHIPPED.get("udpos")
    row = TaggingExample(id="u", words=("a", "b"), tags=("SCONJ", "VERB"))
    judged = FORMAT.judge([("CCONJ", "VERB")], [row], udpos, "en")
    assert judged.metrics == {"f1": 0.5, "accuracy": 0.5, "f1_seqeval": 1.0}
    assert judged.outcomes.tolist() == [[1, 2, 2]]
    assert FORMAT.scoring_version(udpos) == 2
    assert FORMAT.scoring_version(dataclasses.replace(udpos, metric="accuracy")) == 1
    for name in ("panx", "ner", "pos"):
        assert FORMAT.scoring_version(SHIPPED.get(name)) == 1


def test_words_and_tags_of_different_number_are_refused() -> None:
    with pytest.raises(RowError, match="row 't1': 4 words and 3 tags"):
        FORMAT.check(dataclasses.replace(ROW, tags=ROW.tags[:3]), TASK)


def test_an_unknown_tag_is_refused_by_place() -> None:
    with pytest.raises(RowError, match=r"row 't1': unknown tags\[1\] 'b-LOC'.*mean '.-LOC'"):
        FORMAT.check(dataclasses.replace(ROW, tags=("O", "b-LOC", "O", "O")), TASK)


def test_a_sentence_without_words_is_refused() -> None:
    with pytest.raises(RowError, match="row 't1': words is empty"):
        FORMAT.check(dataclasses.replace(ROW, words=(), tags=()), TASK)
