"""How a command ends: its exit code, and the line on standard error."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import typer

from search.display.streams import drop_output, flush_output
from spaces.redaction import hide_secrets
from spaces.refusal import Refusal, first_line, one_line, shortened
from trainables.full_disk import disk_full_sentence, is_disk_full

UsageError: Any = typer.BadParameter.__mro__[1]  # typer has its own copy of click

REFUSED = 2
DISK_FULL = 5  # something could not be written
INTERRUPTED = 130  # the exit code of a shell after Ctrl-C
CLOSED_PIPE = 141  # the exit code of a shell after SIGPIPE: the reader of the output has gone


@dataclass(frozen=True, slots=True)
class Ending:
    """How a command ended; `line` is None where there is nothing to say."""

    code: int
    line: str | None = None


def end_of(command: Callable[[], int | None]) -> Ending:
    """Run a command that returns its exit code; None is 0. An error that is no user's mistake and
    no fault from outside is raised."""
    try:
        code = command() or 0
        flush_output()
    except (Exception, SystemExit) as error:
        ending = _ending(error)
        if ending is None:
            raise
        return ending
    if code == INTERRUPTED:
        return Ending(code, "interrupted; run the same command again to continue")
    return Ending(code)


def complain(line: str) -> None:
    """Print one line on standard error, whatever the text holds."""
    words = shortened(hide_secrets(" ".join(line.split())))
    try:
        print(f"transfer-search: {one_line(words, limit=len(words))}", file=sys.stderr, flush=True)
    except OSError:  # it is on a full disk too, or closed; the exit code says what happened
        return


def _ending(error: BaseException) -> Ending | None:
    if _is_closed_pipe(error):
        drop_output()
        return Ending(CLOSED_PIPE, "the reader of the output has gone; the rest is not written")
    if isinstance(error, SystemExit):
        return None
    if is_disk_full(error):
        return Ending(DISK_FULL, disk_full_sentence(error))
    if isinstance(error, UsageError):
        return Ending(REFUSED, error.format_message())
    if isinstance(error, Refusal):
        return Ending(REFUSED, str(error))
    if isinstance(error, OSError):
        named = [str(part) for part in (error.filename, error.strerror) if part]
        return Ending(REFUSED, ": ".join(named) or f"{type(error).__name__}: {first_line(error)}")
    return None


def _is_closed_pipe(error: BaseException) -> bool:
    """Whether standard output has no reader. Rich and click turn that error into SystemExit."""
    first = error.__context__ if isinstance(error, SystemExit) else error
    return isinstance(first, BrokenPipeError)
