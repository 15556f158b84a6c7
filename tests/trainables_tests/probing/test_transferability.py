"""What the frozen encoder makes of rows, against the hidden states themselves."""

from typing import Any

import numpy as np
import pytest
import torch

from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.task import TaskKind
from trainables.encoders.model import BaseEncoder, hidden_states
from trainables.features.features import Data, RowsToEncode
from trainables.formats.base import IGNORED, collate
from trainables.probing.transferability import (
    SPAN_TOKENS,
    _evidence,
    _labelled,
    _within_rows,
    cosine,
    layer_of_texts,
    on_device,
    probe_rows,
)


def wanted(task: str, language: str = "en", **fields: Any) -> RowsToEncode:
    given: dict[str, Any] = {"split": "validation", "max_rows": 24, "max_length": 64, **fields}
    return RowsToEncode(task=SHIPPED.get(task), language=language, **given)


@pytest.fixture
def data(base: BaseEncoder, tmp_path) -> Data:
    return Data(tmp_path, base)


def states(data: Data, one: RowsToEncode, sequence: int) -> list[np.ndarray]:
    """Every layer's states [L, H] of one sequence, alone in its batch."""
    features = data.features(
        one.task, one.language, one.split, max_rows=one.max_rows, max_length=one.max_length
    )
    batch = collate(features, [sequence], pad_id=data.base.tokenizer.pad_token_id)
    with torch.no_grad():
        hidden = hidden_states(data.base.encoder, batch, all_layers=True)
    return [layer[0].numpy() for layer in hidden]


@pytest.mark.parametrize("layer", [1, 2])
def test_the_text_vector_is_the_mean_of_mean_vectors(data: Data, layer: int) -> None:
    one = wanted("coh")
    result = probe_rows(one, data, layer=layer, with_labels=False)
    by_hand = np.mean([states(data, one, s)[layer].mean(axis=0) for s in range(24)], axis=0)
    np.testing.assert_allclose(result.text, by_hand, atol=1e-5)
    assert (result.num_rows, result.evidence) == (24, None)


def test_of_translations_the_english_side_is_left_out(data: Data) -> None:
    one = wanted("retrieval", "de", max_rows=10)
    result = probe_rows(one, data, layer=1, with_labels=True)
    own = [states(data, one, s)[1].mean(axis=0) for s in range(0, 20, 2)]
    np.testing.assert_allclose(result.text, np.mean(own, axis=0), atol=1e-5)
    assert result.evidence is None, "retrieval has no labels"


@pytest.mark.parametrize("task", ["fact", "rel", "ner", "qakind"])
def test_labels_have_an_evidence(data: Data, task: str) -> None:
    """A random encoder knows little, but its features are no noise either."""
    result = probe_rows(wanted(task, max_rows=100), data, layer=1, with_labels=True)
    assert result.evidence is not None
    assert 0 <= result.evidence < 3


def labelled(kind: TaskKind, task: str, make_features, base: BaseEncoder):
    (features,) = make_features(task, num_rows=12).values()
    sequences = list(range(len(features)))
    batch = collate(features, sequences, pad_id=base.tokenizer.pad_token_id)
    hidden = torch.arange(batch.input_ids.numel()).float().reshape(*batch.input_ids.shape, 1)
    return features, batch, _labelled(kind, features, sequences, batch, hidden)


def test_a_choice_is_right_or_wrong(task_of_kind, make_features, base: BaseEncoder) -> None:
    task = task_of_kind(TaskKind.CHOICE)
    features, _, result = labelled(TaskKind.CHOICE, task, make_features, base)
    classes = np.array([result[s][1][0] for s in range(len(features))]).reshape(12, 4)
    assert (classes.sum(axis=1) == 1).all()
    assert classes.argmax(axis=1).tolist() == [int(features.labels[4 * r][0]) for r in range(12)]
    centred = _within_rows(result, features)
    for row in range(12):
        of_row = [centred[4 * row + choice][0] for choice in range(4)]
        assert np.sum(of_row) == pytest.approx(0, abs=1e-3)
        assert of_row[1] - of_row[0] == result[4 * row + 1][0] - result[4 * row][0]


def test_a_tag_is_looked_for_at_its_words_first_piece(
    task_of_kind, make_features, base: BaseEncoder
) -> None:
    task = task_of_kind(TaskKind.TAGGING)
    features, batch, result = labelled(TaskKind.TAGGING, task, make_features, base)
    width = batch.input_ids.shape[1]
    for s, (vectors, classes) in result.items():
        tokens = (vectors[:, 0] - s * width).astype(int)
        assert (features.labels[s][tokens] == classes).all()
        assert len(classes) == (features.labels[s] != IGNORED).sum()


def test_a_token_of_the_context_is_inside_the_answer_or_not(
    task_of_kind, make_features, base: BaseEncoder
) -> None:
    task = task_of_kind(TaskKind.SPAN)
    features, batch, result = labelled(TaskKind.SPAN, task, make_features, base)
    width = batch.input_ids.shape[1]
    for s, (vectors, classes) in result.items():
        start, end, first, past = features.labels[s].tolist()
        tokens = (vectors[:, 0] - s * width).astype(int)
        assert len(tokens) == min(SPAN_TOKENS, past - first)
        assert tokens.min() >= first
        assert tokens.max() < past
        assert [start <= token <= end for token in tokens] == classes.astype(bool).tolist()
    assert any(classes.any() for _, classes in result.values())


def test_masked_language_modelling_has_no_labels(data: Data) -> None:
    one = wanted("text", split="train", max_rows=8)
    assert probe_rows(one, data, layer=1, with_labels=True).evidence is None


def test_labels_of_one_class_have_no_evidence() -> None:
    vectors = np.random.default_rng(0).normal(size=(6, 1, 4)).astype(np.float32)
    same = {s: (vectors[s], np.array([1])) for s in range(6)}
    assert _evidence(same) is None
    assert _evidence({}) is None
    assert _evidence({**same, 3: (vectors[3], np.array([0]))}) is not None


def test_the_encoder_comes_back_to_its_place(base: BaseEncoder) -> None:
    before = next(base.encoder.parameters())
    with on_device(base, torch.device("cpu")):
        assert not base.encoder.training
    after = next(base.encoder.parameters())
    assert (after.device, after is before) == (before.device, True)


def test_layers_and_cosines(base: BaseEncoder) -> None:
    assert [layer_of_texts(base, layer) for layer in (None, 1, 9)] == [1, 1, 2]
    one = np.array([1.0, 0.0], np.float32)
    assert cosine(one, one * 3) == pytest.approx(1)
    assert cosine(one, np.array([0.0, 2.0], np.float32)) == 0
    assert cosine(one, one * 0) == 0
