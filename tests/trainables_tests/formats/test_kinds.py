"""The contract of formats, run for every kind in languages with spaces, without, right to left."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast, XLMRobertaModel

from spaces.tasks.task import METRICS, Task, TaskKind
from trainables.examples import (
    Answer,
    ChoiceExample,
    Example,
    PairExample,
    RetrievalExample,
    SpanExample,
    TaggingExample,
    TextExample,
)
from trainables.formats.base import Batch, Features, RowError, collate
from trainables.formats.kinds import format_of_kind
from trainables.formats.mlm import mask_tokens
from trainables.scoring.outcomes import score_of

# words of a sentence; `joint` is what stands between them in running text
WORDS = {
    "en": (" ", ("The", "old", "cat", "sat", "on", "the", "warm", "mat")),
    "ja": ("", ("今日", "は", "東京", "で", "とても", "暑い", "日", "でした")),
    "zh": ("", ("北京", "是", "中国", "的", "首都", "人口", "很", "多")),
    "th": ("", ("กรุงเทพ", "เป็น", "เมืองหลวง", "ของ", "ประเทศ", "ไทย", "ที่", "ใหญ่")),
    "ar": (" ", ("القاهرة", "هي", "عاصمة", "مصر", "وأكبر", "مدنها", "منذ", "زمن")),
    "hi": (" ", ("दिल्ली", "भारत", "की", "राजधानी", "है", "और", "बड़ा", "शहर")),
}
LABELS = {
    TaskKind.CLASSIFICATION: ("entailment", "neutral", "contradiction"),
    TaskKind.TAGGING: ("O", "B-LOC", "I-LOC", "B-PER"),
}
MAX_LENGTH = 64


def task_of(kind: TaskKind) -> Task:
    return Task(
        name=f"some_{kind}",
        kind=kind,
        dataset="none",
        languages=("en", *(language for language in WORDS if language != "en")),
        metric=METRICS[kind][0],
        chance=0.0,
        num_train_rows=100,
        labels=LABELS.get(kind, ()),
    )


def examples_of(kind: TaskKind, language: str) -> list[Example]:
    joint, words = WORDS[language]
    text, half = joint.join(words), joint.join(words[:4])
    answer = words[2]
    rows: dict[TaskKind, list[Example]] = {
        TaskKind.CLASSIFICATION: [
            PairExample(id="p1", text_a=text, text_b=half, label="contradiction"),
            PairExample(id="p2", text_a=half, text_b=None, label="entailment"),
        ],
        TaskKind.CHOICE: [
            ChoiceExample(id="c1", text=text, choices=(*words[:3], half), label=2),
            ChoiceExample(id="c2", text=half, choices=words[:4], label=0),
        ],
        TaskKind.SPAN: [
            SpanExample(
                id="s1",
                question=half,
                context=joint.join([*words] * repeats),
                answers=(Answer(text=answer, start=text.index(answer)),),
            )
            for repeats in (1, 6)  # one window, several windows
        ],
        TaskKind.TAGGING: [
            TaggingExample(id="t1", words=words[:3], tags=("O", "B-LOC", "I-LOC")),
            TaggingExample(id="t2", words=words * 8, tags=("B-PER", "O") * 32),
        ],
        TaskKind.RETRIEVAL: [
            RetrievalExample(id="r1", text=text, pivot="The warm mat"),
            RetrievalExample(id="r2", text=half, pivot="The old cat"),
        ],
        TaskKind.MLM: [
            TextExample(id="m1", text=text, pair=None),
            TextExample(id="m2", text=half, pair="The old cat sat"),
        ],
    }
    return rows[kind]


def ideal(kind: TaskKind, features: Features, task: Task) -> list[np.ndarray]:
    """What `predict` would give if the model knew the labels."""
    outputs = []
    for s in range(len(features)):
        labels, length = features.labels[s], len(features.input_ids[s])
        if kind is TaskKind.CLASSIFICATION:
            output = np.eye(len(task.labels))[labels[0]]
        elif kind is TaskKind.CHOICE:
            choice = (features.example[:s] == features.example[s]).sum()
            output = np.array([choice == labels[0]])
        elif kind is TaskKind.SPAN:
            output = np.zeros((length, 2))
            output[labels[0], 0] = output[labels[1], 1] = 9
        elif kind is TaskKind.TAGGING:
            output = labels.clip(0)
        elif kind is TaskKind.RETRIEVAL:
            output = np.eye(8)[features.example[s]][None].repeat(3, axis=0)
        else:
            output = np.ones(3)
        outputs.append(output.astype(np.float32))
    return outputs


def gold(kind: TaskKind, examples: Sequence[Any]) -> list[Any]:
    read: dict[TaskKind, Callable[[int, Any], Any]] = {
        TaskKind.CLASSIFICATION: lambda _, example: example.label,
        TaskKind.CHOICE: lambda _, example: example.label,
        TaskKind.SPAN: lambda _, example: example.answers[0].text,
        TaskKind.TAGGING: lambda _, example: example.tags,
        TaskKind.RETRIEVAL: lambda row, _: (row,) * 3,
        TaskKind.MLM: lambda *_: (3, 3),
    }
    return [read[kind](row, example) for row, example in enumerate(examples)]


def masked(batch: Batch, tokenizer: PreTrainedTokenizerFast) -> Batch:
    return mask_tokens(
        batch,
        generator=torch.Generator().manual_seed(0),
        mask_id=tokenizer.mask_token_id,
        vocab_size=len(tokenizer),
        special_ids=tokenizer.all_special_ids,
        share=0.5,
    )


def batch_of(kind, features: Features, sequences: Sequence[int], tokenizer) -> Batch:
    batch = collate(features, sequences, pad_id=tokenizer.pad_token_id)
    return masked(batch, tokenizer) if kind is TaskKind.MLM else batch


def parts(batch: Batch, at: int) -> tuple[Batch, Batch]:
    """The batch in two, the first cut to its own length."""
    cut = int(batch.attention_mask[:at].sum(dim=1).max())
    columns = functools.partial(lambda tensor, width: tensor[:at, :width])
    wide = batch.labels.shape == batch.input_ids.shape
    first = Batch(
        columns(batch.input_ids, width=cut),
        columns(batch.attention_mask, width=cut),
        columns(batch.token_type_ids, width=cut),
        columns(batch.labels, width=cut if wide else None),
    )
    values = (getattr(batch, field.name)[at:] for field in dataclasses.fields(batch))
    return first, Batch(*values)


def states(encoder: XLMRobertaModel, batch: Batch) -> tuple[torch.Tensor, ...]:
    output = encoder(
        batch.input_ids, attention_mask=batch.attention_mask, output_hidden_states=True
    )
    return tuple(output.hidden_states)


every_kind = pytest.mark.parametrize("kind", TaskKind)
training_kinds = pytest.mark.parametrize("kind", [k for k in TaskKind if k != TaskKind.RETRIEVAL])


@every_kind
@pytest.mark.parametrize("language", WORDS)
def test_decode_of_encode_is_gold(kind: TaskKind, language: str, tokenizer) -> None:
    task, examples, format = task_of(kind), examples_of(kind, language), format_of_kind(kind)
    for example in examples:
        format.check(example, task)
    features = format.encode(examples, task, tokenizer=tokenizer, max_length=MAX_LENGTH)
    predictions = format.decode(ideal(kind, features, task), features, examples, task)
    assert predictions == gold(kind, examples)
    scores = format.score(predictions, examples, task, language)
    mined = {"f1"} if kind is TaskKind.RETRIEVAL else set()  # of another format: test_mining
    assert set(METRICS[kind]) - mined <= set(scores)
    assert set(scores.values()) == {1.0}


def half_wrong(kind: TaskKind, predictions: list[Any]) -> list[Any]:
    """Every second prediction as somebody else's, and one that is right in part."""
    wrong: dict[TaskKind, Callable[[Any], Any]] = {
        TaskKind.CLASSIFICATION: lambda predicted: "neutral",
        TaskKind.CHOICE: lambda predicted: predicted + 1,
        TaskKind.SPAN: lambda predicted: f"{predicted} and more",
        TaskKind.TAGGING: lambda predicted: (*predicted[:1], *("O" for _ in predicted[1:])),
        TaskKind.RETRIEVAL: lambda predicted: tuple(row + 1 for row in predicted),
        TaskKind.MLM: lambda predicted: (1, 3),
    }
    return [
        wrong[kind](predicted) if i % 2 else predicted for i, predicted in enumerate(predictions)
    ]


@every_kind
def test_the_rows_make_up_the_main_score(kind: TaskKind) -> None:
    examples = [example for language in WORDS for example in examples_of(kind, language)]
    for metric in set(METRICS[kind]) - ({"f1"} if kind is TaskKind.RETRIEVAL else set()):
        task = dataclasses.replace(task_of(kind), metric=metric)
        for predictions in (gold(kind, examples), half_wrong(kind, gold(kind, examples))):
            result, rows = format_of_kind(kind).judge(predictions, examples, task, "en")
            assert len(rows) == len(examples)
            # A mean of means is the same mean to the last bit but one.
            last = {"abs": 1e-15} if metric == "qa_score" else {"abs": 0}
            assert score_of(rows) == pytest.approx(result[metric], rel=0, **last)
        assert 0 < result[metric] < 1
        right = rows if rows.ndim == 1 else 2 * rows[:, 0] / np.maximum(1, rows[:, 1:].sum(axis=1))
        assert (right[::2] == 1).all()
        assert (right[1::2] < 1).all()


@every_kind
@pytest.mark.parametrize("max_length", [16, 128])
def test_features_keep_their_contract(kind: TaskKind, max_length: int, tokenizer) -> None:
    task = task_of(kind)
    examples = [example for language in WORDS for example in examples_of(kind, language)]
    features = format_of_kind(kind).encode(
        examples, task, tokenizer=tokenizer, max_length=max_length
    )
    lengths = features.input_ids.lengths
    assert lengths.max() <= max_length
    assert (np.diff(features.example) >= 0).all()
    assert set(features.example.tolist()) == set(range(len(examples)))
    assert ((features.second > 0) & (features.second <= lengths)).all()
    for array in (features.second, features.example):
        assert array.dtype == np.int32
        assert len(array) == len(features)
    for ragged in (features.input_ids, features.labels, features.origins):
        assert ragged.values.dtype == np.int32
        assert len(ragged) == len(features)
    per_token = {TaskKind.SPAN: 2, TaskKind.TAGGING: 1}.get(kind, 0)
    assert (features.origins.lengths == per_token * lengths).all()
    if kind is not TaskKind.TAGGING:  # which cuts into windows instead
        assert (features.num_truncated > 0) == (max_length == 16)


@every_kind
def test_no_rows_are_no_features(kind: TaskKind, tokenizer) -> None:
    format, task = format_of_kind(kind), task_of(kind)
    features = format.encode([], task, tokenizer=tokenizer, max_length=MAX_LENGTH)
    assert len(features) == features.num_truncated == 0
    assert format.decode([], features, [], task) == []
    with pytest.raises(ValueError, match=r"no (rows|masked)"):
        format.score([], [], task, "en")


@every_kind
def test_no_room_for_text_is_refused(kind: TaskKind, tokenizer) -> None:
    with pytest.raises(ValueError, match="max_length 2 leaves no room"):
        format_of_kind(kind).encode(
            examples_of(kind, "en"), task_of(kind), tokenizer=tokenizer, max_length=2
        )


@training_kinds
def test_loss_is_a_sum_that_padding_does_not_change(kind, tokenizer, tiny_encoder) -> None:
    task, format = task_of(kind), format_of_kind(kind)
    examples = examples_of(kind, "hi")[::-1] if kind == TaskKind.CHOICE else examples_of(kind, "hi")
    features = format.encode(examples, task, tokenizer=tokenizer, max_length=MAX_LENGTH)
    head = format.build_head(task, tiny_encoder)
    assert head is not None
    batch = batch_of(kind, features, range(len(features)), tokenizer)
    both = parts(batch, at=int((features.example == 0).sum()))
    losses = [format.loss(head, states(tiny_encoder, b)[-1], b) for b in (batch, *both)]
    assert losses[0].shape == ()
    assert losses[0].item() == pytest.approx((losses[1] + losses[2]).item(), rel=1e-4)
    assert format.num_items(batch) == sum(format.num_items(b) for b in both)

    # fresh heads guess: the loss of an item is near log(number of classes)
    classes = {TaskKind.CLASSIFICATION: 3, TaskKind.CHOICE: 4, TaskKind.TAGGING: 4}
    if kind in classes:
        per_item = losses[0].item() / format.num_items(batch)
        assert per_item == pytest.approx(np.log(classes[kind]), rel=0.1)

    losses[0].backward()
    for module in (head, tiny_encoder.encoder):
        assert all(parameter.grad is not None for parameter in module.parameters())


@every_kind
def test_predict_gives_one_array_a_sequence_whatever_the_padding(
    kind, tokenizer, tiny_encoder
) -> None:
    task, format = task_of(kind), format_of_kind(kind)
    examples = examples_of(kind, "ar")
    features = format.encode(examples, task, tokenizer=tokenizer, max_length=MAX_LENGTH)
    head = format.build_head(task, tiny_encoder)
    assert (head is None) == (kind is TaskKind.RETRIEVAL)
    batch = batch_of(kind, features, range(len(features)), tokenizer)
    both = parts(batch, at=int((features.example == 0).sum()))

    def predict(batch: Batch) -> list[np.ndarray]:
        with torch.no_grad():
            hidden = states(tiny_encoder, batch)
            chosen = hidden if format.reads_all_layers else hidden[-1:]
            return format.predict(head, chosen, batch)

    outputs = predict(batch)
    assert len(outputs) == len(features)
    for s, output in enumerate(outputs):
        length = len(features.input_ids[s])
        shape = {
            TaskKind.CLASSIFICATION: (3,),
            TaskKind.CHOICE: (1,),
            TaskKind.SPAN: (length, 2),
            TaskKind.TAGGING: (length,),
            TaskKind.RETRIEVAL: (3, 32),
            TaskKind.MLM: (int((batch.labels[s] >= 0).sum()),),
        }[kind]
        assert output.dtype == np.float32
        assert output.shape == shape
    for together, alone in zip(outputs, predict(both[0]) + predict(both[1]), strict=True):
        np.testing.assert_allclose(together, alone, atol=1e-5)
    assert len(format.decode(outputs, features, examples, task)) == len(examples)


@training_kinds
def test_heads_follow_the_global_generator(kind, tiny_encoder) -> None:
    def head(seed: int) -> list[torch.Tensor]:
        torch.manual_seed(seed)
        built = format_of_kind(kind).build_head(task_of(kind), tiny_encoder)
        assert built is not None
        return list(built.state_dict().values())

    assert all(torch.equal(a, b) for a, b in zip(head(1), head(1), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(head(1), head(2), strict=True))


@every_kind
def test_a_row_of_another_kind_is_refused_with_its_id(kind: TaskKind) -> None:
    other = TaskKind.MLM if kind is not TaskKind.MLM else TaskKind.SPAN
    row = examples_of(other, "en")[0]
    with pytest.raises(RowError, match=f"{row.id}.*a {type(row).__name__}, expected a "):
        format_of_kind(kind).check(row, task_of(kind))


@every_kind
def test_white_space_is_no_text(kind: TaskKind) -> None:
    row = examples_of(kind, "en")[0]
    for field in dataclasses.fields(row):
        value = getattr(row, field.name)
        if field.name == "id" or field.name == "label" or value is None:
            continue
        if field.name in ("tags", "document"):  # no model reads which document it was
            continue
        if isinstance(value, str):
            blank: Any = " \n"
        elif field.name == "answers":
            blank = (Answer(text=" ", start=3),)
        else:
            blank = (" ",) * len(value)
        with pytest.raises(RowError, match=rf"row '{row.id}': {field.name}.* is empty"):
            format_of_kind(kind).check(
                dataclasses.replace(row, **{field.name: blank}), task_of(kind)
            )


def test_every_kind_has_a_format_of_its_own() -> None:
    formats = [format_of_kind(kind) for kind in TaskKind]
    assert len({type(format) for format in formats}) == len(TaskKind)
    assert len({format.example_type for format in formats}) == len(TaskKind)
    assert format_of_kind(TaskKind.RETRIEVAL, retrieval_layer=1).layer == 1
