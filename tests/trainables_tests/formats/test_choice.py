import dataclasses

import pytest
import torch
from torch.nn.functional import cross_entropy

from spaces.tasks.task import Task, TaskKind
from trainables.examples import ChoiceExample
from trainables.formats.base import RowError, collate
from trainables.formats.choice import ChoiceFormat
from trainables.formats.encoding import Template, tokenize
from trainables.formats.heads import masked_mean

TASK = Task(
    name="copa",
    kind=TaskKind.CHOICE,
    dataset="none",
    languages=("en",),
    metric="accuracy",
    chance=1 / 2,
    num_train_rows=2,
)
ROWS = [
    ChoiceExample(id="1", text="The old cat", choices=("sat on the mat", "東京"), label=1),
    ChoiceExample(id="2", text="the sea", choices=("warm", "looked"), label=0),
]
FORMAT = ChoiceFormat()


def test_every_choice_is_a_sequence(tokenizer) -> None:
    features = FORMAT.encode(ROWS, TASK, tokenizer=tokenizer, max_length=48)
    pairs = [(row.text, choice) for row in ROWS for choice in row.choices]
    for s, pair in enumerate(pairs):
        assert features.input_ids[s].tolist() == tokenizer(*pair)["input_ids"]
    assert features.example.tolist() == [0, 0, 1, 1]
    assert [features.labels[s].tolist() for s in range(4)] == [[1, 2], [1, 2], [0, 2], [0, 2]]
    assert features.num_truncated == 0


def test_the_text_is_cut_and_not_the_choice(tokenizer) -> None:
    row = dataclasses.replace(ROWS[0], text="The old cat sat on the mat " * 5)
    [text, long, short] = tokenize(tokenizer, [row.text, *row.choices])
    template = Template.of(tokenizer)
    room = len(long) + 2
    max_length = template.room(100, pair=True) and room + 4
    features = FORMAT.encode([row], TASK, tokenizer=tokenizer, max_length=max_length)
    assert features.input_ids[0].tolist() == template.join(text[:2], long)[0]
    assert features.input_ids[1].tolist() == template.join(text[: room - len(short)], short)[0]
    assert features.num_truncated == 1  # rows, not sequences
    # a choice that is too long alone leaves nothing of the text
    features = FORMAT.encode([row], TASK, tokenizer=tokenizer, max_length=8)
    assert features.input_ids[0].tolist() == template.join([], long[:4])[0]


def test_loss_is_over_the_choices_of_a_row(tokenizer, tiny_encoder) -> None:
    features = FORMAT.encode(ROWS, TASK, tokenizer=tokenizer, max_length=48)
    batch = collate(features, range(4), pad_id=1)
    head = FORMAT.build_head(TASK, tiny_encoder)
    hidden = torch.randn(4, batch.input_ids.shape[1], 32)
    pooled = masked_mean(hidden, batch.attention_mask)
    logits = head.out_proj(torch.tanh(head.dense(pooled))).flatten()
    expected = cross_entropy(logits[:2], torch.tensor(1)) + cross_entropy(
        logits[2:], torch.tensor(0)
    )
    assert FORMAT.loss(head, hidden, batch).item() == pytest.approx(expected.item(), rel=1e-5)
    assert FORMAT.num_items(batch) == 2


def test_training_batches_hold_whole_rows_with_equally_many_choices(tokenizer) -> None:
    three = dataclasses.replace(ROWS[0], choices=("a", "b", "c"))
    features = FORMAT.encode([*ROWS, three], TASK, tokenizer=tokenizer, max_length=48)
    with pytest.raises(AssertionError, match="whole rows"):
        FORMAT.num_items(collate(features, [0, 1, 2], pad_id=1))
    with pytest.raises(AssertionError, match="differ in number"):
        FORMAT.num_items(collate(features, range(7), pad_id=1))


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_outside_the_choices_is_refused(label: int) -> None:
    with pytest.raises(RowError, match=f"row '2': label {label} is not an index of 2 choices"):
        FORMAT.check(dataclasses.replace(ROWS[1], label=label), TASK)


def test_one_choice_is_no_choice() -> None:
    with pytest.raises(RowError, match="row '1': 1 choices, expected at least 2"):
        FORMAT.check(dataclasses.replace(ROWS[0], choices=("a",), label=0), TASK)
