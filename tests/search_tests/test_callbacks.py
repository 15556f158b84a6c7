"""Functions report by a callback; without one they report nothing."""

import pytest

from search.callbacks import OnDone, StartCallbacks, ignore


def test_nothing_is_reported_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    on_done: OnDone = ignore
    on_done(1, 2)
    StartCallbacks().on_prepared(1, 2)
    assert capsys.readouterr() == ("", "")
    steps: list[tuple[int, int]] = []
    callbacks = StartCallbacks(on_checked=lambda done, of: steps.append((done, of)))
    callbacks.on_checked(1, 2)
    callbacks.on_ranked(2, 2)
    assert steps == [(1, 2)]
