import numpy as np

from trainables.formats.base import IGNORED, Features, Ragged, collate


def test_ragged_rows_come_back() -> None:
    ragged = Ragged.of([[3, 1], [], [2]])
    assert [row.tolist() for row in (ragged[0], ragged[1], ragged[2])] == [[3, 1], [], [2]]
    assert len(ragged) == 3
    assert ragged.lengths.tolist() == [2, 0, 1]
    assert len(Ragged.of([])) == 0


def test_collate_pads_to_the_longest_chosen() -> None:
    features = Features(
        input_ids=Ragged.of([[5, 6, 7, 8], [5, 6], [5, 6, 7]]),
        second=np.array([2, 2, 1], np.int32),
        example=np.array([0, 0, 1], np.int32),
        labels=Ragged.of([[1, 2, 3, 4], [0, 1], [9]]),
        origins=Ragged.of([[], [], []]),
        num_truncated=0,
    )
    batch = collate(features, [2, 1], pad_id=1)
    assert batch.input_ids.tolist() == [[5, 6, 7], [5, 6, 1]]
    assert batch.attention_mask.tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch.token_type_ids.tolist() == [[0, 1, 1], [0, 0, 0]]
    assert batch.labels.tolist() == [[9, IGNORED], [0, 1]]
