import dataclasses
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from spaces.tasks.task import Task, TaskKind
from trainables.examples import Answer, SpanExample
from trainables.formats.base import Features, RowError, collate
from trainables.formats.span import SpanFormat, _best_span

TASK = Task(
    name="qa",
    kind=TaskKind.SPAN,
    dataset="none",
    languages=("en",),
    metric="f1",
    chance=0.0,
    num_train_rows=1,
)
CONTEXT = "The old cat sat on the warm mat and looked at the sea. " * 6
ROW = SpanExample(
    id="q1",
    question="Who sat on the mat",
    context=CONTEXT + "قط  東京 is hot",
    answers=(
        Answer(text="東京", start=len(CONTEXT) + 4),
        Answer(text="hot", start=len(CONTEXT) + 10),
    ),
)
FORMAT = SpanFormat()


def encode(row: SpanExample, tokenizer, *, max_length: int = 48, format: SpanFormat = FORMAT):
    format.check(row, TASK)
    return format.encode([row], TASK, tokenizer=tokenizer, max_length=max_length)


def outputs(features: Features, spans: dict[int, tuple[int, int, float]]) -> list[np.ndarray]:
    """Zero logits, but for (start, end, score) in some windows."""
    made = [np.zeros((len(features.input_ids[s]), 2), np.float32) for s in range(len(features))]
    for s, (start, end, score) in spans.items():
        made[s][start, 0] = made[s][end, 1] = score / 2
    return made


def covered(features: Features, s: int, first: int, last: int, context: str) -> str:
    spans = features.origins[s].reshape(-1, 2)
    return context[spans[first, 0] : spans[last, 1]]


def test_windows_overlap_and_cover_the_context(tokenizer) -> None:
    features = encode(ROW, tokenizer)
    whole = tokenizer(ROW.context, add_special_tokens=False)["input_ids"]
    question = tokenizer(ROW.question, add_special_tokens=False)["input_ids"]
    step = 0
    for s in range(len(features)):
        first, past = features.labels[s].tolist()[2:]
        window = features.input_ids[s][first:past].tolist()
        assert whole[step : step + len(window)] == window
        assert features.second[s] == first == 1 + len(question) + 2
        step += len(window) - 48 // 4  # of which the next window repeats a quarter of max_length
    assert step + 48 // 4 == len(whole)


@given(st.integers(0, 200), st.integers(1, 60), st.integers(0, 80))
def test_any_windows_cover_every_token(num_tokens: int, width: int, overlap: int) -> None:
    windows = SpanFormat(overlap=overlap)._windows(num_tokens, width, 128)
    assert windows[0].start == 0
    assert windows[-1].stop == num_tokens
    assert all(0 <= w.stop - w.start <= width for w in windows)
    for before, after in itertools.pairwise(windows):
        assert before.start < after.start <= before.stop < after.stop


def test_an_answer_is_labelled_where_a_window_holds_all_of_it(tokenizer) -> None:
    features = encode(ROW, tokenizer)
    result = []
    for s in range(len(features)):
        start, end, first, past = features.labels[s].tolist()
        if (start, end) != (0, 0):
            assert first <= start <= end < past
            result.append(covered(features, s, start, end, ROW.context))
    assert result
    assert set(result) == {"東京"}  # of two answers, training takes the first
    assert features.labels[0].tolist()[:2] == [0, 0]


def test_origins_leave_out_white_space_and_everything_but_the_context(tokenizer) -> None:
    features = encode(ROW, tokenizer)
    for s in range(len(features)):
        first, past = features.labels[s].tolist()[2:]
        spans = features.origins[s].reshape(-1, 2)
        assert (spans[:first] == -1).all()
        assert (spans[past:] == -1).all()
        for start, end in spans[first:past].tolist():
            assert start == end == -1 or ROW.context[start:end].strip() == ROW.context[start:end]


def test_a_token_across_the_answers_edge_counts_as_a_whole(tokenizer) -> None:
    row = dataclasses.replace(ROW, answers=(Answer(text="a", start=CONTEXT.index("sea") + 2),))
    features = encode(row, tokenizer, max_length=128)
    start, end = features.labels[0].tolist()[:2]
    assert start == end
    assert covered(features, 0, start, end, row.context) == "ea."


def test_long_questions_are_cut_to_half(tokenizer) -> None:
    row = dataclasses.replace(ROW, question="Who sat on the mat " * 20)
    features = encode(row, tokenizer, max_length=32)
    assert features.second.tolist() == [1 + 16 + 2] * len(features)
    assert features.num_truncated == 1
    assert encode(ROW, tokenizer, max_length=64).num_truncated == 0


def test_the_best_span_of_all_windows_wins(tokenizer) -> None:
    features = encode(ROW, tokenizer)
    first = [features.labels[s].tolist()[2] for s in range(len(features))]
    spans = {0: (first[0] + 1, first[0] + 3, 4.0), 2: (first[2] + 2, first[2] + 2, 6.0)}
    expected = covered(features, 2, first[2] + 2, first[2] + 2, ROW.context)
    assert FORMAT.decode(outputs(features, spans), features, [ROW], TASK) == [expected]
    spans[0] = (*spans[0][:2], 8.0)
    expected = covered(features, 0, first[0] + 1, first[0] + 3, ROW.context)
    assert FORMAT.decode(outputs(features, spans), features, [ROW], TASK) == [expected]


def test_the_question_is_never_an_answer(tokenizer) -> None:
    features = encode(ROW, tokenizer)
    shouting = outputs(features, dict.fromkeys(range(len(features)), (1, 2, 99.0)))
    [answer] = FORMAT.decode(shouting, features, [ROW], TASK)
    assert answer
    assert answer in ROW.context


def test_only_abstaining_formats_give_the_empty_answer(tokenizer) -> None:
    features = encode(ROW, tokenizer)
    first = features.labels[0].tolist()[2]
    abstaining = SpanFormat(may_abstain=True)
    nothing = outputs(features, dict.fromkeys(range(len(features)), (0, 0, 9.0)))
    assert abstaining.decode(nothing, features, [ROW], TASK) == [""]
    assert FORMAT.decode(nothing, features, [ROW], TASK) != [""]
    # all other windows rightly say that they have no answer; the one with it decides
    one = outputs(
        features,
        {0: (first, first, 5.0)} | dict.fromkeys(range(1, len(features)), (0, 0, 9.0)),
    )
    expected = covered(features, 0, first, first, ROW.context)
    assert abstaining.decode(one, features, [ROW], TASK) == [expected]


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 15))
def test_best_span_is_the_best_of_all_spans(seed: int, length: int, max_tokens: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(length, 2)).astype(np.float32)
    allowed = rng.random(length) < 0.7
    spans = [
        (float(logits[i, 0] + logits[j, 1]), i, j)
        for i in range(length)
        for j in range(i, min(i + max_tokens, length))
        if allowed[i] and allowed[j]
    ]
    best = _best_span(logits, allowed, max_tokens)
    if spans:
        assert best == (pytest.approx(max(spans)[0]), *max(spans)[1:])
    else:
        assert best[0] == -np.inf


def test_loss_is_over_the_context_and_the_first_token(tokenizer, tiny_encoder) -> None:
    row = dataclasses.replace(ROW, context=ROW.context[len(CONTEXT) :], answers=())
    row = dataclasses.replace(row, answers=(Answer(text="hot", start=10),))
    features = encode(row, tokenizer, max_length=64)
    batch = collate(features, [0], pad_id=1)
    head = FORMAT.build_head(TASK, tiny_encoder)
    hidden = torch.randn(1, batch.input_ids.shape[1], 32)
    start, end, first, past = batch.labels[0].tolist()
    allowed = head(hidden)[0, [0, *range(first, past)]]
    expected = cross_entropy(allowed[:, 0], torch.tensor(start - first + 1))
    expected = (expected + cross_entropy(allowed[:, 1], torch.tensor(end - first + 1))) / 2
    assert FORMAT.loss(head, hidden, batch).item() == pytest.approx(expected.item(), rel=1e-5)
    assert FORMAT.num_items(batch) == 1


def test_unanswerable_rows_are_labelled_with_the_first_token_and_scored(tokenizer) -> None:
    row = dataclasses.replace(ROW, answers=())
    features = encode(row, tokenizer)
    assert all(features.labels[s].tolist()[:2] == [0, 0] for s in range(len(features)))
    assert FORMAT.score([""], [row], TASK, "en") == dict.fromkeys(
        ("f1", "exact_match", "qa_score"), 1.0
    )
    assert FORMAT.score(["the hot sea"], [ROW], TASK, "en") == {
        "f1": pytest.approx(2 / 3),
        "exact_match": 0.0,
        "qa_score": pytest.approx(1 / 3),
    }


def test_a_context_without_tokens_has_the_empty_answer(wordpiece) -> None:
    row = dataclasses.replace(ROW, context="\u200b\u0001", answers=())
    features = encode(row, wordpiece)
    made = outputs(features, {})
    assert len(made) == 1
    assert FORMAT.decode(made, features, [row], TASK) == [""]


def test_a_misplaced_answer_is_refused_with_the_nearest_place() -> None:
    def refusal(text: str, start: int) -> str:
        row = dataclasses.replace(ROW, answers=(*ROW.answers, Answer(text=text, start=start)))
        with pytest.raises(RowError) as refused:
            FORMAT.check(row, TASK)
        assert "\n" not in str(refused.value)
        return str(refused.value)

    start = CONTEXT.index("cat", 30)
    assert refusal("cat", start + 2) == (
        f"task 'qa', row 'q1': answers[2] is 'cat', but the context has 't s' at character "
        f"{start + 2}; it has 'cat' at {start}: correct start when loading"
    )
    assert "'dog' is nowhere in it; drop the row" in refusal("dog", 5)
    assert "it has 'cat' at 8: correct" in refusal("cat", -3)
    assert "; it has 'hot' at" in refusal("hot", 10_000)
