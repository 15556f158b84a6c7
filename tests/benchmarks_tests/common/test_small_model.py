"""The Trainer is given the same rows and the same model."""

import numpy as np
import pytest
import torch

from benchmarks.common.small_model import ForTrainer, Shape, rows_of, write_encoder
from spaces.tasks.catalogue import SHIPPED
from trainables.encoders.model import BaseEncoder, hidden_states
from trainables.formats.base import Features, Ragged, collate
from trainables.formats.kinds import format_of_kind
from trainables.pretraining.corpus import PocketText

TINY = Shape(vocabulary=300, hidden_size=16, num_layers=1, num_heads=2, feed_forward_size=16)


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> BaseEncoder:
    text = PocketText(languages=("en", "de"), num_rows=50, seed=0)
    return BaseEncoder.load(
        str(write_encoder(tmp_path_factory.mktemp("encoder"), text.rows(), TINY))
    )


def features(labels: list[list[int]]) -> Features:
    ids = Ragged.of([[0, 7, 8, 2], [0, 9, 2]])
    return Features(
        input_ids=ids,
        second=ids.lengths.astype(np.int32),
        example=np.arange(2, dtype=np.int32),
        labels=Ragged.of(labels),
        origins=Ragged.of([[], []]),
        num_truncated=0,
    )


@pytest.mark.parametrize(
    ("task", "labels"), [("mnli", [[0], [2]]), ("panx", [[-100, 1, 2, -100], [-100, 3, -100]])]
)
@pytest.mark.parametrize("padded_to", [None, 9])
def test_both_sides_lose_the_same(base, task, labels, padded_to) -> None:
    """Padded or not, the Trainer's mean loss is our sum over its items."""
    model = base.model((SHIPPED.get(task),), encoder=None, seed=0).eval()
    form, is_tagged = format_of_kind(SHIPPED.get(task).kind), task == "panx"
    batch = collate(features(labels), [0, 1], pad_id=1)
    ours = form.loss(model.heads[task], hidden_states(model.encoder, batch)[0], batch)
    rows = rows_of(features(labels), is_tagged=is_tagged, padded_to=padded_to or 4, pad_id=1)
    theirs = ForTrainer(model, SHIPPED.get(task))(
        **{name: torch.tensor([r[name] for r in rows]) for name in rows[0]}
    )
    assert theirs["loss"].item() == pytest.approx(ours.item() / form.num_items(batch), abs=1e-5)


def test_rows_are_not_padded_unless_asked() -> None:
    rows = rows_of(features([[0], [1]]), is_tagged=False, padded_to=None, pad_id=1)
    assert [len(row["input_ids"]) for row in rows] == [4, 3]
    assert [row["labels"] for row in rows] == [0, 1]
