"""A driver that goes away leaves its trials a moment to save."""

from pathlib import Path
from typing import Any

import pytest

from trainables.training.drain import DrainedError, DrainMark
from trainables.training.stage import get_or_train


def test_a_mark_is_there_from_the_start_and_set_once(tmp_path: Path) -> None:
    mark = DrainMark(tmp_path / "folder" / "mark")
    assert not mark.is_set()
    mark.set()  # nobody asked for it to be there
    assert not mark.path.exists()
    mark.make()
    assert mark.path.exists()
    assert not mark.is_set()
    mark.set()
    mark.set()
    assert DrainMark(mark.path).is_set()


def test_a_drained_phase_goes_on_where_it_was_left(
    open_context: Any, make_phase: Any, events: list[Any]
) -> None:
    phase = make_phase("rel", num_steps=40, max_train_rows=40)
    alone = open_context()
    expected = get_or_train(phase, None, alone, events.append)
    context = open_context(alone.store._phases.parent.parent / "other")
    wanted: list[None] = []

    def after_two_questions() -> bool:
        wanted.append(None)
        return len(wanted) > 2

    object.__setattr__(context, "is_stopping", after_two_questions)
    with pytest.raises(DrainedError, match="saved at step 20"):
        get_or_train(phase, None, context, events.append)
    key = context.key_facts.key(phase, None)
    left = context.store.newest_checkpoint(key)
    assert left is not None
    assert left.name.endswith("20"), "long before checkpoint_seconds"
    with pytest.raises(DrainedError, match="not started"):
        get_or_train(phase, None, context, events.append)
    object.__setattr__(context, "is_stopping", lambda: False)
    record = get_or_train(phase, None, context, events.append)
    assert record.losses == expected.losses
    assert (
        context.store.location(key)["encoder.safetensors"]
        == (alone.store.location(key)["encoder.safetensors"])
    )
