import dataclasses
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from spaces.refusal import Refusal
from spaces.tasks.catalogue import SHIPPED
from trainables.examples import SentenceExample, TextExample
from trainables.features.features import (
    Data,
    read_features,
    take,
    write_features,
)
from trainables.features.fertility import fertility
from trainables.formats.base import Features
from trainables.formats.kinds import format_of_kind
from trainables.rows.rows import Rows


@pytest.fixture
def data(tmp_path: Path, base) -> Data:
    return Data(tmp_path / "data", base)


def assert_equal(one: Features, other: Features) -> None:
    for name in ("input_ids", "labels", "origins"):
        assert np.array_equal(getattr(one, name).values, getattr(other, name).values)
        assert np.array_equal(getattr(one, name).offsets, getattr(other, name).offsets)
        assert getattr(one, name).values.dtype == getattr(other, name).values.dtype
    assert np.array_equal(one.second, other.second)
    assert np.array_equal(one.example, other.example)
    assert one.num_truncated == other.num_truncated


@pytest.mark.parametrize("name", [t.name for t in SHIPPED if t.dataset == "pocket"])
def test_what_is_read_is_what_is_encoded(data: Data, base, name: str) -> None:
    task = SHIPPED.get(name)
    options = {"max_rows": 20, "max_length": 32}
    split = "validation" if format_of_kind(task.kind).example_type is not TextExample else "train"
    language = task.languages[0]
    result = data.features(task, language, split, **options)
    rows = data.examples(task, language, split, max_rows=20)
    encoded = format_of_kind(task.kind).encode(rows, task, tokenizer=base.tokenizer, max_length=32)
    assert_equal(result, encoded)
    assert_equal(data.features(task, language, split, **options), encoded)
    assert result.fertility == fertility(rows, language, tokenizer=base.tokenizer)


def test_rows_of_an_earlier_version_have_no_fertility(data: Data) -> None:
    result = data.features(SHIPPED.get("coh"), "de", "validation", max_rows=5, max_length=32)
    assert result.fertility is not None
    write_features(data.folder / "old.arrow", dataclasses.replace(result, fertility=None))
    old = read_features(data.folder / "old.arrow")
    assert_equal(old, result)
    assert old.fertility is None


def test_rows_are_tokenised_once(data: Data) -> None:
    data.features(SHIPPED.get("coh"), "de", "validation", max_rows=5, max_length=32)
    [path] = data.folder.iterdir()
    written = path.stat().st_mtime_ns
    data.features(SHIPPED.get("coh"), "de", "validation", max_rows=5, max_length=32)
    assert [p.stat().st_mtime_ns for p in data.folder.iterdir()] == [written]


def test_which_rows_go_together_is_found_out_once(data: Data) -> None:
    """Every trial asks it of the same rows; of fewer rows it is another question."""
    result = data.groups(SHIPPED.get("fact"), "en", "validation", max_rows=40)
    assert result is not None
    rows = data.examples(SHIPPED.get("fact"), "en", "validation", max_rows=40)
    assert len(result) == len(rows) == 40
    assert len(set(result.tolist())) == len({row.text for row in rows})  # type: ignore[union-attr]
    assert data.groups(SHIPPED.get("fact"), "en", "validation", max_rows=40) is result
    fewer = data.groups(SHIPPED.get("fact"), "en", "validation", max_rows=30)
    assert fewer is not None
    assert len(fewer) == 30


def test_what_is_cached_depends_on_all_that_is_encoded(data: Data, base) -> None:
    base = dataclasses.replace(base, tokenizer_digest="another")
    for other, changes in (
        (data, {}),
        (data, {"language": "ja"}),
        (data, {"task": SHIPPED.get("rel")}),
        (data, {"split": "test"}),
        (data, {"max_length": 40}),
        (data, {"max_rows": 6}),
        (data, {"max_rows": None}),
        (Data(data.folder, base), {}),
    ):
        wanted = {
            "task": SHIPPED.get("coh"),
            "language": "de",
            "split": "validation",
            "max_rows": 5,
        }
        other.features(**{**wanted, "max_length": 32, **changes})
    assert len(list(data.folder.iterdir())) == 8


@given(st.integers(1, 80), st.integers(1, 90), st.integers(1, 90))
def test_a_smaller_choice_lies_inside_a_larger_one(num_rows: int, one: int, other: int) -> None:
    rows = [TextExample(id=f"row-{i}", text="x", pair=None) for i in range(num_rows)]
    small, large = take(rows, min(one, other)), take(rows, max(one, other))
    assert len(small) == min(one, other, num_rows)
    assert set(small) <= set(large)
    assert list(large) == [row for row in rows if row in set(large)]
    shuffled = random.Random(0).sample(rows, num_rows)
    assert set(take(shuffled, one)) == set(take(rows, one))
    assert take(rows, None) == tuple(rows)


def test_the_same_rows_are_taken_in_every_language() -> None:
    ids = {
        language: [
            row.id for row in take(Rows().examples(SHIPPED.get("coh"), language, "validation"), 15)
        ]
        for language in SHIPPED.get("coh").languages
    }
    assert len(set(map(tuple, ids.values()))) == 1


@pytest.mark.parametrize("keep", [0, 7, 0.5, -1])
def test_a_file_cut_short_is_refused(data: Data, keep: float) -> None:
    data.features(SHIPPED.get("coh"), "de", "validation", max_rows=5, max_length=32)
    [path] = data.folder.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(Refusal, match=r"delete .* and run again") as refused:
        data.features(SHIPPED.get("coh"), "de", "validation", max_rows=5, max_length=32)
    assert "\n" not in str(refused.value)


def test_a_file_of_something_else_is_refused(tmp_path: Path, data: Data) -> None:
    save_file({"x": torch.zeros(3)}, tmp_path / "weights.arrow")
    table = pa.table({"input_ids": [1, 2]})
    with (
        pa.OSFile(str(tmp_path / "table.arrow"), "wb") as file,
        pa.ipc.new_file(file, table.schema) as writer,
    ):
        writer.write_table(table)
    for name in ("weights", "table", "missing"):
        with pytest.raises(Refusal, match="cannot be read"):
            read_features(tmp_path / f"{name}.arrow")


def test_no_half_written_file_is_left(tmp_path: Path, make_features) -> None:
    [features] = make_features("rel").values()
    for _ in range(2):
        write_features(tmp_path / "x.arrow", features)
    assert [path.name for path in tmp_path.iterdir()] == ["x.arrow"]


def test_arrays_lie_in_the_mapped_file(tmp_path: Path, make_features) -> None:
    [features] = make_features("rel").values()
    write_features(tmp_path / "x.arrow", features)
    read = read_features(tmp_path / "x.arrow")
    assert not read.input_ids.values.flags.owndata
    assert not read.input_ids.values.flags.writeable


def test_lengths_that_do_not_fit_are_refused(data: Data) -> None:
    for length in (5, 129):
        with pytest.raises(Refusal, match="max_length"):
            data.features(SHIPPED.get("coh"), "en", "train", max_rows=5, max_length=length)


def test_sentences_to_mine_are_taken_with_their_partners() -> None:
    rows = [
        SentenceExample(
            id=f"{side}-{n:03d}",
            text="t",
            is_pivot=side == "en",
            partners=(f"{other}-{n:03d}",) if n < 200 else (),
        )
        for side, other in (("ru", "en"), ("en", "ru"))
        for n in range(1000)
    ]
    taken = take(rows, 400)
    ids = {row.id for row in taken}
    assert len(taken) == 400
    pairs = [row for row in taken if row.partners]
    assert sum(row.partners[0] not in ids for row in pairs) <= 1  # cut apart by the limit itself
    assert 0.1 < len(pairs) / 400 < 0.3
