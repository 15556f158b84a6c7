"""Functions report by a callback; without one they report nothing."""

from search.callbacks import OnDone, ignore


def test_nothing_is_reported_by_default(capsys) -> None:
    on_done: OnDone = ignore
    on_done(1, 2)
    assert capsys.readouterr() == ("", "")
