import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spaces.phases import Role
from spaces.tasks.task import TaskKind
from tests.by_name import mixture_of
from trainables.formats.base import IGNORED, Features, Ragged, collate
from trainables.training.batches import (
    Batches,
    Steps,
    by_length,
    select_rows,
    shard,
    source_at,
    step_seed,
    units_of,
)


def features_of(lengths: list[int], *, sizes: list[int] | None = None) -> Features:
    """Sequence s is made of the number s; `sizes` are the sequences of each row (choice)."""
    counts = sizes or [1] * len(lengths)
    return Features(
        input_ids=Ragged.of([[s] * length for s, length in enumerate(lengths)]),
        second=np.array(lengths, np.int32),
        example=np.repeat(np.arange(len(counts)), counts).astype(np.int32),
        labels=Ragged.of([[0, n] for n in counts for _ in range(n)]),
        origins=Ragged.of([[] for _ in lengths]),
        num_truncated=0,
    )


def batches_of(features: Features, kind: TaskKind = TaskKind.CLASSIFICATION, **limits) -> Batches:
    given_limits = {"batch_size": 4, "max_batch_tokens": None, "seed": "0:x", **limits}
    return Batches(features, kind, **given_limits)


def epoch_of(batches: Batches, num_units: int) -> list[list[list[int]]]:
    result, seen = [], 0
    while seen < num_units:
        result.append(batches[len(result)])
        seen += len(result[-1])
    return result


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=60),
    st.integers(1, 9),
    st.none() | st.integers(1, 120),
    st.integers(0, 2**32),
)
def test_an_epoch_has_every_row_once_within_the_limits(lengths, size, tokens, seed) -> None:
    features = features_of(lengths)
    batches = batches_of(features, batch_size=size, max_batch_tokens=tokens, seed=str(seed))
    epoch = epoch_of(batches, len(lengths))
    assert sorted(s for batch in epoch for unit in batch for s in unit) == list(range(len(lengths)))
    for batch in epoch:
        assert len(batch) <= size
        padded = len(batch) * max(lengths[s] for [s] in batch)
        assert tokens is None or padded <= tokens or len(batch) == 1


@given(st.lists(st.integers(1, 20), min_size=1, max_size=30), st.integers(0, 99))
def test_a_batch_is_a_function_of_seed_and_index(lengths, index: int) -> None:
    features = features_of(lengths)
    fresh = batches_of(features)[index]
    used = batches_of(features)
    for i in random.Random(0).sample(range(100), 5):
        used[i]
    assert used[index] == fresh


def test_epochs_and_seeds_differ() -> None:
    features = features_of(list(range(1, 41)))
    first, second = batches_of(features), batches_of(features, seed="1:x")
    assert [first[i] for i in range(10)] != [first[i] for i in range(10, 20)]
    assert [first[i] for i in range(10)] != [second[i] for i in range(10)]


def test_little_is_padding_where_lengths_are_skewed() -> None:
    rng = random.Random(0)
    lengths = [min(128, 8 + int(rng.lognormvariate(3, 0.8))) for _ in range(4000)]
    batches = batches_of(features_of(lengths), batch_size=32)
    useful = padded = 0
    for batch in epoch_of(batches, len(lengths)):
        widths = [lengths[s] for [s] in batch]
        useful += sum(widths)
        padded += max(widths) * len(widths)
    assert (padded - useful) / padded <= 0.05


@given(
    st.lists(st.integers(2, 5), min_size=1, max_size=20),
    st.integers(1, 5),
    st.none() | st.integers(1, 200),
    st.randoms(use_true_random=False),
)
def test_rows_with_choices_stay_whole_and_alike(sizes, size: int, tokens, rng) -> None:
    lengths = [rng.randint(1, 20) for _ in range(sum(sizes))]
    features = features_of(lengths, sizes=sizes)
    units = units_of(features, TaskKind.CHOICE)
    assert [len(unit) for unit in units] == sizes
    batches = batches_of(features, TaskKind.CHOICE, batch_size=size, max_batch_tokens=tokens)
    epoch = epoch_of(batches, len(sizes))
    assert sorted(unit for batch in epoch for unit in batch) == sorted(units)
    for batch in epoch:
        assert len({len(unit) for unit in batch}) == 1  # what the choice format's loss reads
        padded = max(lengths[s] for unit in batch for s in unit) * sum(map(len, batch))
        assert tokens is None or padded <= tokens or len(batch) == 1


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=25),
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(1, 100),
)
def test_workers_cover_the_global_batch_once(widths, per_unit: int, size: int, tokens) -> None:
    lengths = [width for width in widths for _ in range(per_unit)]
    batch = collate(features_of(lengths), range(len(lengths)), pad_id=-1)
    sizes = [per_unit] * len(widths)
    seen: list[int] = []
    for rank in range(size):
        parts = shard(batch, sizes, rank=rank, size=size, max_tokens=tokens)
        for part in parts:
            ids = part.input_ids[:, 0].tolist()
            assert part.input_ids.shape[1] == max(lengths[s] for s in ids)
            assert len(ids) == per_unit or part.input_ids.numel() <= tokens
            assert all(
                ids[i : i + per_unit] == list(range(ids[i], ids[i] + per_unit))
                for i in range(0, len(ids), per_unit)
            )
            seen.extend(ids)
        share = len(widths) // size + (rank < len(widths) % size)
        assert sum(len(part.input_ids) for part in parts) == share * per_unit
    assert sorted(seen) == list(range(len(lengths)))


@given(st.lists(st.integers(1, 30), min_size=1, max_size=30), st.integers(1, 100))
def test_the_longest_come_first(lengths: list[int], tokens: int) -> None:
    result = by_length(np.array(lengths), [[s] for s in range(len(lengths))], max_tokens=tokens)
    assert sorted(s for batch in result for s in batch) == list(range(len(lengths)))
    widths = [max(lengths[s] for s in batch) for batch in result]
    assert widths == sorted(widths, reverse=True)
    for batch, width in zip(result, widths, strict=True):
        assert len(batch) == 1 or width * len(batch) <= tokens


def test_labels_of_tokens_are_cut_with_them() -> None:
    features = features_of([3, 5])
    batch = collate(features, [0, 1], pad_id=-1)
    tagged = type(batch)(
        batch.input_ids, batch.attention_mask, batch.token_type_ids, batch.input_ids.clone()
    )
    part = select_rows(tagged, [0])
    assert part.input_ids.tolist() == part.labels.tolist() == [[0, 0, 0]]
    part = select_rows(batch, [0])
    assert part.labels.tolist() == [[0, 1]]
    assert IGNORED not in part.labels.flatten().tolist()


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.sampled_from(("rel", "fact", "coh@de", "text@ja", "pos")),
        st.floats(0.02, 1),
        min_size=1,
    ),
    st.integers(0, 2**32),
)
def test_sources_come_as_often_as_their_shares_at_every_step(weights, seed: int) -> None:
    """Also where some steps mask text. Drawn independently, 500 steps at a half differ by 11."""
    mixture, drawn = mixture_of(weights), Counter()
    for step in range(500):
        drawn[source_at(mixture, draws=f"{seed}", step=step)] += 1
        for source, share in mixture.shares:
            assert abs(drawn[source] - share * (step + 1)) < (2.5 if step < 50 else 3.5)


def test_long_phases_keep_to_the_shares() -> None:
    mixture = mixture_of({"rel": 5, "fact": 3, "coh@de": 2})
    drawn = Counter(source_at(mixture, draws="1", step=step) for step in range(20_000))
    for source, share in mixture.shares:
        assert drawn[source] == pytest.approx(20_000 * share, abs=4)


@pytest.mark.parametrize("step", [0, 1, 49, 12_345])
def test_over_seeds_every_step_is_drawn_by_the_shares(step: int) -> None:
    """A share of 0.1 in 4,000 draws has a standard error of 0.005."""
    mixture = mixture_of({"rel": 0.1, "fact": 0.3, "text": 0.6})
    drawn = Counter(source_at(mixture, draws=f"{seed}", step=step) for seed in range(4000))
    for source, share in mixture.shares:
        assert drawn[source] / 4000 == pytest.approx(share, abs=0.025)


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.integers(0, 10**6))
def test_the_source_of_a_step_needs_no_state(seed: int, step: int) -> None:
    """Neither rank nor what was drawn before enters: there is nothing to pass."""
    mixture, draws = mixture_of({"rel": 1, "fact": 1}), f"{seed}"
    first = source_at(mixture, draws=draws, step=step)
    source_at(mixture, draws=draws, step=step + 1)
    torch.manual_seed(step)
    assert source_at(mixture, draws=draws, step=step) == first


def test_every_purpose_step_and_rank_has_a_seed_of_its_own() -> None:
    draws = ("0", "1", "intermediate:0", "intermediate:1")
    keys = [(p, s, i, r) for p in ("step", "mask") for s in draws for i in (0, 1) for r in (0, 1)]
    assert len({step_seed(*key) for key in keys}) == len(keys)


def test_the_two_phases_of_a_plan_read_in_orders_of_their_own(
    make_phase, make_features, tokenizer, task_of_kind
) -> None:
    """Rows, sources and masks, where both train on the same rows from the same seed."""
    names = ["rel", "fact", task_of_kind(TaskKind.MLM)]
    target, features = make_phase(*names), make_features(*names)
    phases = [replace(target, role=role) for role in Role]
    read = [Steps(phase, features, tokenizer, start=0) for phase in phases]
    first, second = ([steps.read(step) for step in range(20)] for steps in read)
    assert [step.source for step in first] != [step.source for step in second]
    for name in names:
        batches = [[s.batch for s in steps if s.source.task == name] for steps in (first, second)]
        same = [torch.equal(a.input_ids, b.input_ids) for a, b in zip(*batches, strict=False)]
        assert not any(same)


def test_steps_are_the_same_from_wherever_they_are_read(
    make_phase, make_features, tokenizer, task_of_kind
) -> None:
    names = ["rel", "fact", task_of_kind(TaskKind.MLM)]
    phase, features = make_phase(*names), make_features(*names)
    whole = Steps(phase, features, tokenizer, start=0)
    read = [whole.read(step) for step in range(20)]
    assert {step.source.task.name for step in read} == set(names)
    for start in (1, 7, 19):
        later = Steps(phase, features, tokenizer, start=start)
        for step in range(start, 20):
            result = later.read(step)
            assert result.source == read[step].source
            assert result.sizes == read[step].sizes
            assert torch.equal(result.batch.input_ids, read[step].batch.input_ids)
            assert torch.equal(result.batch.labels, read[step].batch.labels)
