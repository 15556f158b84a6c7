"""How a command ends: a mistake, a full disk, a closed pipe, an interruption, a fault of ours."""

import errno
import os
from collections.abc import Callable
from typing import NoReturn

import pytest

from search.cli.ending import CLOSED_PIPE, DISK_FULL, INTERRUPTED, REFUSED, complain, end_of
from spaces.refusal import AwayError, Refusal


def raising(error: BaseException, cause: BaseException | None = None) -> Callable[[], NoReturn]:
    def command() -> NoReturn:
        raise error from cause

    return command


def fault(number: int, name: str | None = None) -> OSError:
    return OSError(number, os.strerror(number), name)


def test_a_command_returns_its_code() -> None:
    assert end_of(lambda: None).code == 0
    assert end_of(lambda: 3).code == 3
    interrupted = end_of(lambda: INTERRUPTED)
    assert interrupted.code == INTERRUPTED
    assert interrupted.line == "interrupted; run the same command again to continue"


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (Refusal("no such thing"), REFUSED, "no such thing"),
        (AwayError("nobody answers"), REFUSED, "nobody answers"),
        (fault(errno.ENOSPC), DISK_FULL, "No space left on device"),
        (fault(errno.EDQUOT, "/home/x"), DISK_FULL, "/home/x: Disk quota exceeded"),
        (fault(errno.EFBIG), DISK_FULL, "File too large"),
        (RuntimeError("database or disk is full"), DISK_FULL, "database or disk is full"),
        (fault(errno.EACCES, "/root/x"), REFUSED, "/root/x: Permission denied"),
        (fault(errno.EROFS, "/x"), REFUSED, "/x: Read-only file system"),
        (fault(errno.ENAMETOOLONG, "x" * 5000), REFUSED, "File name too long"),
        (TimeoutError(), REFUSED, "TimeoutError"),
    ],
)
def test_faults_from_outside_are_one_line(error: BaseException, code: int, line: str) -> None:
    ending = end_of(raising(error))
    assert ending.code == code
    assert ending.line is not None
    assert line in ending.line
    assert "\n" not in ending.line


def test_what_led_to_a_refusal_gives_the_code() -> None:
    ending = end_of(raising(Refusal("x.html cannot be written"), fault(errno.ENOSPC)))
    assert (ending.code, ending.line) == (DISK_FULL, "x.html cannot be written")


def test_a_fault_of_the_program_is_raised() -> None:
    for error in (KeyError("x"), RuntimeError("x"), SystemExit(1)):
        with pytest.raises(type(error)):
            end_of(raising(error))


def test_click_and_rich_hide_a_closed_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.cli.ending.drop_output", lambda: None)
    assert end_of(raising(fault(errno.EPIPE))).code == CLOSED_PIPE

    def hidden() -> NoReturn:
        try:
            raise fault(errno.EPIPE)
        except BrokenPipeError:
            raise SystemExit(1)  # noqa: B904

    assert end_of(hidden).code == CLOSED_PIPE


def test_a_complaint_is_one_line_of_printable_text(capsys: pytest.CaptureFixture[str]) -> None:
    complain("a\n b\x1b[31m red \u202e " + "x" * 5000)
    printed = capsys.readouterr().err
    assert printed.startswith("transfer-search: a b\\x1b[31m red \\u202e xxx")
    assert printed.count("\n") == 1
    assert len(printed) < 400
