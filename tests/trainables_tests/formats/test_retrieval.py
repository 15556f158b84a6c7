import numpy as np
import pytest
import torch

from spaces.tasks.task import Task, TaskKind
from trainables.examples import RetrievalExample
from trainables.formats.base import collate
from trainables.formats.retrieval import RetrievalFormat, middle_layer

TASK = Task(
    name="pairs",
    kind=TaskKind.RETRIEVAL,
    dataset="none",
    languages=("ja",),
    metric="accuracy",
    chance=0.5,
    num_train_rows=0,
)
ROWS = [
    RetrievalExample(id="1", text="東京", pivot="The sea"),
    RetrievalExample(id="2", text="暑い日でした", pivot="warm"),
    RetrievalExample(id="3", text="猫 " * 40, pivot="cat " * 40),
]
FORMAT = RetrievalFormat()


def test_text_then_pivot(tokenizer) -> None:
    features = FORMAT.encode(ROWS, TASK, tokenizer=tokenizer, max_length=20)
    texts = [text for row in ROWS for text in (row.text, row.pivot)]
    for s, text in enumerate(texts):
        expected = tokenizer(text, truncation=True, max_length=20)["input_ids"]
        assert features.input_ids[s].tolist() == expected
    assert features.example.tolist() == [0, 0, 1, 1, 2, 2]
    assert features.num_truncated == 1  # rows, not sequences


def test_vectors_are_means_over_all_tokens_of_each_layer(tokenizer) -> None:
    features = FORMAT.encode(ROWS, TASK, tokenizer=tokenizer, max_length=20)
    batch = collate(features, [0, 1], pad_id=1)
    hidden = tuple(torch.randn(2, batch.input_ids.shape[1], 8) for _ in range(4))
    for s, output in enumerate(FORMAT.predict(None, hidden, batch)):
        length = len(features.input_ids[s])
        expected = torch.stack([layer[s, :length].mean(dim=0) for layer in hidden])
        np.testing.assert_allclose(output, expected.numpy(), atol=1e-6)


def test_pivots_look_for_texts(tokenizer) -> None:
    """XTREME's direction. Both pivots are nearest to the second text, while each text has
    another pivot as its nearest: asked the other way round, accuracy would be 1."""
    features = FORMAT.encode(ROWS[:2], TASK, tokenizer=tokenizer, max_length=20)

    def at(degrees: float) -> np.ndarray:
        angle = np.deg2rad(degrees)
        return np.array([[np.cos(angle), np.sin(angle)]] * 3, np.float32)

    texts, pivots = (at(0), at(60)), (at(40), at(70))
    outputs = [texts[0], pivots[0], texts[1], pivots[1]]
    predictions = FORMAT.decode(outputs, features, ROWS[:2], TASK)
    assert predictions == [(1, 1, 1), (1, 1, 1)]
    assert FORMAT.score(predictions, ROWS[:2], TASK, "ja")["accuracy"] == 0.5
    reverse = RetrievalFormat(to_english=True)
    predictions = reverse.decode(outputs, features, ROWS[:2], TASK)
    assert reverse.score(predictions, ROWS[:2], TASK, "ja")["accuracy"] == 1.0


def test_every_layer_is_scored_and_one_is_chosen() -> None:
    # entry 0 is the embeddings, which are no layer
    predictions = [(9, 0, 0, 9, 9), (9, 1, 9, 9, 9), (9, 2, 2, 9, 2)]
    scores = {
        "accuracy.layer_1": 1.0,
        "accuracy.layer_2": pytest.approx(2 / 3),
        "accuracy.layer_3": 0.0,
        "accuracy.layer_4": pytest.approx(1 / 3),
    }
    chosen = FORMAT.score(predictions, ROWS, TASK, "ja")
    assert chosen == {"accuracy": scores["accuracy.layer_2"], **scores}
    chosen = RetrievalFormat(layer=1).score(predictions, ROWS, TASK, "ja")
    assert chosen == {"accuracy": 1.0, **scores}


def test_the_middle_layer_is_14_of_24() -> None:
    layers = {24: 14, 12: 7, 6: 4, 3: 2, 2: 1, 1: 1}
    assert {num: middle_layer(num) for num in layers} == layers


def test_layers_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="layers count from 1"):
        RetrievalFormat(layer=0)
    with pytest.raises(ValueError, match="layer 14: the encoder has 12 layers"):
        RetrievalFormat(layer=14).layer_of(12)


def test_retrieval_trains_nothing(tokenizer, tiny_encoder) -> None:
    features = FORMAT.encode(ROWS, TASK, tokenizer=tokenizer, max_length=20)
    batch = collate(features, range(6), pad_id=1)
    assert FORMAT.build_head(TASK, tiny_encoder) is None
    with pytest.raises(AssertionError, match="trains nothing"):
        FORMAT.num_items(batch)
    with pytest.raises(AssertionError, match="trains nothing"):
        FORMAT.loss(torch.nn.Identity(), torch.zeros(6, 20, 32), batch)
