"""One driver a study: refused while another lives, taken over when dead, given up when lost."""

import itertools
import logging
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from search import fence
from search.fence import CLAIM, LOOK_SECONDS, MARK, STALE_SECONDS, Fence, is_alive
from spaces.refusal import Refusal


class Board:
    """Where the marks hang; it can be out of order."""

    def __init__(self) -> None:
        self.marks: dict[str, dict[str, Any] | None] = {}
        self.broken = False
        self.num_writes = 0

    def read(self, name: str) -> dict[str, Any] | None:
        if self.broken:
            raise Refusal("the study database cannot be used: locked")
        return self.marks.get(name)

    def write(self, name: str, mark: dict[str, Any] | None) -> None:
        if self.broken:
            raise Refusal("the study database cannot be used: locked")
        self.num_writes += 1
        self.marks[name] = mark

    @property
    def mark(self) -> dict[str, Any] | None:
        return self.marks.get(MARK)

    @mark.setter
    def mark(self, mark: dict[str, Any] | None) -> None:
        self.marks[MARK] = mark

    def take_over(self) -> dict[str, Any]:
        """Another driver does."""
        self.marks = {MARK: other(), CLAIM: {"id": "other"}}
        return self.marks[MARK] or {}


class Time:
    """A clock that only waiting moves; `then` happens at its moment."""

    def __init__(self, **then: Callable[[], None]) -> None:
        self.now = 0.0
        self.then = {float(at.removeprefix("at_")): do for at, do in then.items()}

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        for at in [at for at in self.then if at <= self.now]:
            self.then.pop(at)()
        return False


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fence, "RENEW_SECONDS", 0.02)


def build(
    board: Board, on_lost: Callable[[], None] = lambda: None, passing: Time | None = None
) -> Fence:
    passing = passing or Time()
    return Fence(
        "tiny",
        read=board.read,
        write=board.write,
        on_lost=on_lost,
        wait=passing.wait,
        clock=(lambda: passing.now) if passing.then or board.mark else time.monotonic,
    )


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


def test_a_second_driver_is_refused_at_once_beside_one_of_this_host(board: Board) -> None:
    board.mark = mark = other()
    passing = Time()
    with pytest.raises(Refusal, match=f"by process {mark['pid']} on .* \\(seen 0 s ago") as caught:
        build(board, passing=passing).__enter__()
    assert "\n" not in str(caught.value)
    assert board.marks == {MARK: mark}, "and leaves nothing"
    assert passing.now == 0


@pytest.mark.parametrize("skew", [-3600, -61, 0, 61, 3600])
def test_a_living_driver_is_known_by_its_renewing_whatever_its_clock_says(
    skew: int, board: Board, caplog: pytest.LogCaptureFixture
) -> None:
    """On another host, whose clock is behind or ahead; on this one a driver may have stalled."""
    for fields in ({"host": "elsewhere", "pid": gone()}, {"time": time.time() - 61}):
        board.mark = other(**{"time": time.time() + skew, **fields})
        renewed = {**board.mark, "time": board.mark["time"] + 10}
        passing = Time(at_9=lambda mark=renewed: board.write(MARK, mark))  # type: ignore[misc]
        with caplog.at_level(logging.WARNING), pytest.raises(Refusal, match="its mark changed"):
            build(board, passing=passing).__enter__()
        assert passing.now <= 9 + LOOK_SECONDS, "no longer than it takes to see"
        assert board.mark == renewed
    assert "watching whether it renews the mark: 0 of 60 s" in caplog.text


@pytest.mark.parametrize("skew", [-3600, -61, 0, 61, 3600])
def test_a_mark_that_does_not_change_is_a_dead_drivers(skew: int, board: Board) -> None:
    board.mark = other(host="elsewhere", time=time.time() + skew)
    passing = Time()
    with build(board, passing=passing):
        assert board.mark["id"] != "other"
    assert STALE_SECONDS < passing.now <= STALE_SECONDS + LOOK_SECONDS


def test_a_driver_that_ends_while_it_is_watched(board: Board) -> None:
    board.mark = other(host="elsewhere")
    passing = Time(at_9=lambda: board.write(MARK, None))
    with build(board, passing=passing):
        assert passing.now < 9 + LOOK_SECONDS


def test_watching_ends_where_the_driver_is_to_end(board: Board) -> None:
    board.mark = mark = other(host="elsewhere")
    one = Fence(
        "tiny", read=board.read, write=board.write, on_lost=lambda: None, wait=lambda seconds: True
    )
    with pytest.raises(KeyboardInterrupt):
        one.__enter__()
    assert board.marks == {MARK: mark}


@pytest.mark.parametrize("pid", [gone, os.getpid], ids=["gone", "a container started again"])
def test_a_dead_process_of_this_host_is_not_watched(pid: Callable[[], int], board: Board) -> None:
    board.mark = other(pid=pid())
    passing = Time()
    with build(board, passing=passing):
        assert board.mark["id"] != "other"
        assert passing.now == 0


class Turns(Board):
    """A board on which drivers read and write in a given order, one at a time."""

    def __init__(self, order: list[int]) -> None:
        super().__init__()
        self._order = order
        self._turn = threading.Condition()

    def of(self, driver: int, do: Callable[..., Any]) -> Callable[..., Any]:
        def in_turn(*arguments: Any) -> Any:
            with self._turn:
                assert self._turn.wait_for(lambda: self._order[:1] == [driver], timeout=10)
                found = do(*arguments)
                self._pass_on()
            return found

        return in_turn

    def leaves(self, driver: int) -> None:
        with self._turn:
            self._order = [one for one in self._order if one != driver]
            self._turn.notify_all()

    def _pass_on(self) -> None:
        self._order = self._order[1:]
        self._turn.notify_all()


def going_on(order: list[int], standing: dict[str, Any] | None) -> list[int]:
    """The drivers that go on where they read and write in this order."""
    board, went = Turns(order), []
    board.mark = standing

    def drive(driver: int) -> None:
        one = Fence(
            "tiny",
            read=board.of(driver, board.read),
            write=board.of(driver, board.write),
            on_lost=lambda: None,
        )
        one._thread = threading.Thread(target=lambda: None)  # renews nothing
        with suppress(Refusal):
            one.__enter__()
            went.append(driver)
        board.leaves(driver)

    threads = [threading.Thread(target=drive, args=(driver,)) for driver in set(order)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return went


def interleavings() -> list[list[int]]:
    """Of two drivers all, of three some; each reads or writes six times at most."""
    both = [
        [int(place in places) for place in range(12)]
        for places in itertools.combinations(range(12), 6)
    ]
    rng = random.Random(0)
    return [*rng.sample(both, 200), *(rng.sample([0, 1, 2] * 6, 18) for _ in range(200))]


@pytest.mark.parametrize("is_dead", [False, True])
def test_of_drivers_that_start_together_at_most_one_goes_on(
    is_dead: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever each of them stalls, and for how long; where one goes after the other, the first."""
    monkeypatch.setattr(fence, "is_gone", lambda mark: mark["id"] == "other")
    standing = other() if is_dead else None
    found = [going_on(order, standing) for order in interleavings()]
    assert max(map(len, found)) == 1
    assert sum(map(len, found)) > len(found) // 2, "most of the time there is one"
    assert going_on([0] * 6 + [1] * 6, standing) == [0]


def test_one_that_stalls_before_its_mark_is_refused_and_the_other_goes_on(
    board: Board, wait_for: Callable[..., None]
) -> None:
    """It found the study free, then stood still for long; what it wrote over is mended."""
    lost: list[None] = []
    running = build(board, lambda: lost.append(None))
    write = board.write

    def stalled(name: str, mark: dict[str, Any] | None) -> None:
        if name == MARK:
            running.__enter__()
        write(name, mark)

    late = Fence("tiny", read=board.read, write=stalled, on_lost=lambda: None)
    with pytest.raises(Refusal, match="at the same moment"):
        late.__enter__()
    wait_for(lambda: board.mark is not None and board.mark["id"] == running._id)
    running.__exit__()
    assert not lost
    assert board.mark is None


def test_a_lost_fence_says_so_once_and_leaves_the_new_mark(
    board: Board, wait_for: Callable[..., None]
) -> None:
    lost: list[str] = []
    with build(board, lambda: lost.append(threading.current_thread().name)) as held:
        taken = board.take_over()
        wait_for(lambda: bool(lost))
        time.sleep(0.1)
    assert lost == ["fence"]
    assert "another driver" in held.lost
    assert board.mark == taken


def test_a_fence_taken_over_just_before_the_end_is_not_given_back(board: Board) -> None:
    with build(board) as held:
        held._stop.set()
        held._thread.join()
        taken = board.take_over()
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
