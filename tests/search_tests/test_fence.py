"""One driver a study: refused while fresh, taken over when dead, given up when lost."""

import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from search import fence
from search.fence import Fence, is_alive
from spaces.refusal import Refusal


class Board:
    """Where the mark hangs; it can be out of order."""

    def __init__(self) -> None:
        self.mark: dict[str, Any] | None = None
        self.broken = False
        self.num_writes = 0

    def read(self) -> dict[str, Any] | None:
        if self.broken:
            raise Refusal("the study database cannot be used: locked")
        return self.mark

    def write(self, mark: dict[str, Any] | None) -> None:
        if self.broken:
            raise Refusal("the study database cannot be used: locked")
        self.num_writes += 1
        self.mark = mark


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fence, "RENEW_SECONDS", 0.02)


def build(board: Board, on_lost: Callable[[], None] = lambda: None) -> Fence:
    return Fence("tiny", read=board.read, write=board.write, on_lost=on_lost)


def other(**fields: Any) -> dict[str, Any]:
    """The mark of another driver on this host: the process that started this one."""
    here = {"host": socket.gethostname(), "pid": os.getppid()}
    return {"id": "other", "time": time.time(), **here, **fields}


def gone() -> int:
    """The pid of a process that was there and is not any more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_taken_renewed_and_given_back(board: Board, wait_for: Callable[..., None]) -> None:
    with build(board) as held:
        assert board.mark is not None
        assert (board.mark["host"], board.mark["pid"]) == (socket.gethostname(), os.getpid())
        first = board.mark["time"]
        wait_for(lambda: board.mark is not None and board.mark["time"] > first)
        assert not held.lost
    assert board.mark is None


def test_a_second_driver_is_refused_while_the_mark_is_fresh(board: Board) -> None:
    for mark in (other(), other(host="elsewhere", pid=1), other(host="elsewhere", pid=gone())):
        board.mark = mark
        with pytest.raises(Refusal, match=f"is being run by process {mark['pid']}") as caught:
            build(board).__enter__()
        assert "\n" not in str(caught.value)
        assert board.mark == mark


@pytest.mark.parametrize(
    "fields",
    [
        {"time": time.time() - 61, "host": "elsewhere"},
        {"time": time.time() - 61},
        {"pid": gone()},
        {"pid": os.getpid()},  # a container started again
    ],
)
def test_a_dead_drivers_study_is_taken_over(fields: dict[str, Any], board: Board) -> None:
    board.mark = other(**fields)
    with build(board):
        assert board.mark["id"] != "other"


def test_two_at_the_same_moment(board: Board) -> None:
    """The other one writes between our write and our look at it."""
    write = board.write

    def overwritten(mark: dict[str, Any] | None) -> None:
        write(mark)
        board.mark = other()

    board.write = overwritten  # type: ignore[method-assign]
    with pytest.raises(Refusal, match="at the same moment"):
        build(board).__enter__()
    assert board.mark == {**other(), "time": board.mark["time"]}, "the other one's mark stays"


def test_a_lost_fence_says_so_once_and_leaves_the_new_mark(
    board: Board, wait_for: Callable[..., None]
) -> None:
    lost: list[str] = []
    with build(board, lambda: lost.append(threading.current_thread().name)) as held:
        taken = board.mark = other()
        wait_for(lambda: bool(lost))
        time.sleep(0.1)
    assert lost == ["fence"]
    assert "another driver" in held.lost
    assert board.mark == taken


def test_a_fence_taken_over_just_before_the_end_is_not_given_back(board: Board) -> None:
    with build(board) as held:
        held._stop.set()
        held._thread.join()
        board.mark = taken = other()
    assert board.mark == taken


def test_a_database_that_comes_back_is_nothing(
    board: Board, wait_for: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    lost: list[None] = []
    with caplog.at_level(logging.WARNING), build(board, lambda: lost.append(None)) as held:
        board.broken = True
        wait_for(lambda: "cannot be renewed" in caplog.text)
        board.broken = False
        before = board.num_writes
        wait_for(lambda: board.num_writes > before)
        assert not lost
        assert not held.lost
    assert board.mark is None


def test_a_database_that_stays_away_stops_the_search(
    board: Board, wait_for: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fence, "STALE_SECONDS", 0.2)
    lost: list[None] = []
    with build(board, lambda: lost.append(None)) as held:
        board.broken = True
        began = time.monotonic()
        wait_for(lambda: bool(lost))
        assert time.monotonic() - began > 0.15
        assert "has not answered" in held.lost
    assert len(lost) == 1


def test_a_broken_database_at_the_end_hides_no_error(board: Board) -> None:
    def drive() -> None:
        with build(board):
            board.broken = True
            raise KeyError("what really happened")

    with pytest.raises(KeyError):
        drive()


def test_is_alive() -> None:
    assert is_alive(os.getpid())
    assert is_alive(1)
    assert not is_alive(gone())
