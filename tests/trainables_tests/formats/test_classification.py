import dataclasses

import pytest
import torch
from torch.nn.functional import cross_entropy

from spaces.tasks.task import Task, TaskKind
from trainables.examples import PairExample
from trainables.formats.base import RowError, collate
from trainables.formats.classification import ClassificationFormat
from trainables.formats.heads import masked_mean

TASK = Task(
    name="nli",
    kind=TaskKind.CLASSIFICATION,
    dataset="none",
    languages=("en",),
    metric="accuracy",
    chance=1 / 3,
    num_train_rows=3,
    labels=("entailment", "neutral", "contradiction"),
)
ROWS = [
    PairExample(id="1", text_a="The old cat", text_b="sat on the mat", label="neutral"),
    PairExample(id="2", text_a="東京", text_b=None, label="contradiction"),
    PairExample(id="3", text_a="The old cat " * 20, text_b="sat", label="entailment"),
]
FORMAT = ClassificationFormat()


def test_labels_are_indices_and_segments_start_at_text_b(wordpiece) -> None:
    features = FORMAT.encode(ROWS, TASK, tokenizer=wordpiece, max_length=24)
    assert [features.labels[s].tolist() for s in range(3)] == [[1], [2], [0]]
    assert features.num_truncated == 1
    batch = collate(features, range(3), pad_id=wordpiece.pad_token_id)
    expected = wordpiece(ROWS[0].text_a, ROWS[0].text_b, return_token_type_ids=True)
    length = len(expected["input_ids"])
    assert batch.input_ids[0, :length].tolist() == expected["input_ids"]
    assert batch.token_type_ids[0, :length].tolist() == expected["token_type_ids"]
    assert not batch.token_type_ids[1].any()


def test_loss_is_the_cross_entropy_of_the_pooled_head(tokenizer, tiny_encoder) -> None:
    features = FORMAT.encode(ROWS, TASK, tokenizer=tokenizer, max_length=24)
    batch = collate(features, range(3), pad_id=1)
    head = FORMAT.build_head(TASK, tiny_encoder)
    hidden = torch.randn(3, batch.input_ids.shape[1], 32)
    pooled = masked_mean(hidden, batch.attention_mask)
    logits = head.out_proj(torch.tanh(head.dense(pooled)))
    expected = sum(
        cross_entropy(logits[s], torch.tensor(label)).item() for s, label in enumerate([1, 2, 0])
    )
    assert FORMAT.loss(head, hidden, batch).item() == pytest.approx(expected, rel=1e-5)
    assert FORMAT.num_items(batch) == 3
    outputs = FORMAT.predict(head, (hidden,), batch)
    assert FORMAT.decode(outputs, features, ROWS, TASK) == [
        TASK.labels[int(row.argmax())] for row in logits
    ]


def test_score_is_accuracy() -> None:
    assert FORMAT.score(["neutral"] * 3, ROWS, TASK, "en") == {"accuracy": pytest.approx(1 / 3)}


def test_an_index_is_no_label() -> None:
    with pytest.raises(RowError, match=r"row '1': unknown label '1'.*Known: contradiction"):
        FORMAT.check(dataclasses.replace(ROWS[0], label="1"), TASK)
