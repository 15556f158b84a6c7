"""The outbox: every record is delivered once and in order, whatever happens in between."""

import json
import logging
import pickle
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from search.outbox.outbox import Outbox, UndeliverableError


class Killed(BaseException):
    """The process ends here."""


class Receiver:
    """Takes records; raises `error` while it is set."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.error: BaseException | None = None
        self.num_calls = 0

    def __call__(self, record: Mapping[str, Any]) -> None:
        self.num_calls += 1
        if self.error is not None:
            raise self.error
        self.taken.append(record["n"])


def filled(path: Path, deliver: Callable[[Mapping[str, Any]], None], num: int = 3) -> Outbox:
    outbox = Outbox(path, deliver)
    for n in range(num):
        outbox.append({"n": n})
    return outbox


def test_records_arrive_once_and_in_order(tmp_path: Path) -> None:
    receiver = Receiver()
    outbox = filled(tmp_path / "outbox", receiver)
    assert outbox.pending == 3
    assert outbox.deliver_all()
    assert receiver.taken == [0, 1, 2]
    assert outbox.pending == 0
    assert Outbox(tmp_path / "outbox", receiver).deliver_all()
    assert receiver.taken == [0, 1, 2]


@pytest.mark.parametrize("dies_at", [1, 2, 3])
def test_a_killed_process_is_taken_up_where_it_was(tmp_path: Path, dies_at: int) -> None:
    receiver = Receiver()

    def deliver(record: Mapping[str, Any]) -> None:
        if receiver.num_calls + 1 == dies_at:
            receiver.error = Killed()
        receiver(record)

    outbox = filled(tmp_path / "outbox", deliver)
    with pytest.raises(Killed):
        outbox.deliver_all()
    assert outbox.pending == 4 - dies_at
    receiver.error = None
    Outbox(tmp_path / "outbox", receiver).deliver_all()
    assert receiver.taken == [0, 1, 2]


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_line_cut_off_by_a_crash_spoils_no_other(tmp_path: Path, cut: int) -> None:
    """`append` had not returned: that record may be lost, its neighbours may not."""
    receiver = Receiver()
    filled(tmp_path / "outbox", receiver, num=2)
    whole = (tmp_path / "outbox").read_bytes()
    (tmp_path / "outbox").write_bytes(whole[:-cut])
    outbox = Outbox(tmp_path / "outbox", receiver)
    assert outbox.pending == 1
    outbox.append({"n": 9})
    outbox.deliver_all()
    assert [n for n in receiver.taken if n != 1] == [0, 9]
    assert outbox.pending == 0


def test_a_lost_position_means_sending_again_not_losing(tmp_path: Path) -> None:
    receiver = Receiver()
    filled(tmp_path / "outbox", receiver).deliver_all()
    for content in ("", "garbage", "7", "99999"):
        (tmp_path / "outbox.position").write_text(content)
        receiver.taken.clear()
        Outbox(tmp_path / "outbox", receiver).deliver_all()
        assert receiver.taken == [0, 1, 2]


def test_a_receiver_that_is_away_is_asked_again(tmp_path: Path) -> None:
    receiver = Receiver()
    receiver.error = ConnectionError("nobody there")
    outbox = filled(tmp_path / "outbox", receiver)
    outbox.start()
    assert not outbox.drain(0.3)
    assert outbox.pending == 3
    receiver.error = None
    assert outbox.drain(5)
    assert receiver.taken == [0, 1, 2]
    assert outbox.close(1)


def test_what_comes_later_is_sent_at_once(tmp_path: Path, wait_for: Callable[..., None]) -> None:
    receiver = Receiver()
    outbox = filled(tmp_path / "outbox", receiver, num=1)
    outbox.start()
    wait_for(lambda: receiver.taken == [0])
    outbox.append({"n": 1})
    wait_for(lambda: receiver.taken == [0, 1], 2)
    assert outbox.close(1)


def test_close_gives_up_in_time_and_keeps_the_rest(tmp_path: Path) -> None:
    receiver = Receiver()
    receiver.error = ConnectionError("nobody there")
    outbox = filled(tmp_path / "outbox", receiver)
    outbox.start()
    assert not outbox.close(0.2)
    assert Outbox(tmp_path / "outbox", receiver).pending == 3


def test_a_refused_record_is_set_aside_and_blocks_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    taken: list[int] = []

    def deliver(record: Mapping[str, Any]) -> None:
        if record["n"] == 1:
            raise UndeliverableError("never at http://me:hunter2@host")
        taken.append(record["n"])

    outbox = filled(tmp_path / "outbox", deliver)
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            with pytest.raises(UndeliverableError):
                outbox.deliver_all()
        assert outbox.deliver_all()
    assert taken == [0, 2]
    assert "refused" in caplog.text
    assert "hunter2" not in caplog.text
    refused = json.loads((tmp_path / "outbox.refused").read_text())
    assert refused == {"error": "never at http://***@host", "record": {"n": 1}}


def test_two_processes_do_not_send_the_same(tmp_path: Path) -> None:
    """The second one (a `report` beside a `run`) leaves it to the first."""
    entered, leave = threading.Event(), threading.Event()
    taken: list[int] = []

    def slow(record: Mapping[str, Any]) -> None:
        entered.set()
        assert leave.wait(10)
        taken.append(record["n"])

    first = filled(tmp_path / "outbox", slow)
    first.start()
    assert entered.wait(10)
    receiver = Receiver()
    second = Outbox(tmp_path / "outbox", receiver)
    assert not second.deliver_all()
    second.start()
    leave.set()
    assert second.drain(10)
    assert sorted(taken + receiver.taken) == [0, 1, 2]
    first.close(1)
    second.close(1)


def test_many_threads_append_whole_lines(tmp_path: Path) -> None:
    receiver = Receiver()
    outbox = Outbox(tmp_path / "outbox", receiver)

    def append(start: int) -> None:
        for n in range(start, start + 20):
            outbox.append({"n": n, "text": "é" * 1000})

    threads = [threading.Thread(target=append, args=(100 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outbox.deliver_all()
    assert sorted(receiver.taken) == [100 * i + n for i in range(4) for n in range(20)]


def test_an_outbox_is_not_pickled(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="stays in its process"):
        pickle.dumps(Outbox(tmp_path / "outbox", Receiver()))
