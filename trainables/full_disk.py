"""Recognises that a disk is full, in the errors of the libraries that write to it."""

import errno
import re
from collections.abc import Iterator

from spaces.refusal import Refusal

_NUMBERS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# What SQLite, safetensors, Arrow and Ray say without a number.
_WORDS = re.compile(
    r"no space left on device|disk quota exceeded|file too large|database or disk is full"
    r"|file size limit exceeded|disk i/o error",
    re.IGNORECASE,
)


def is_disk_full(error: BaseException | str | None) -> bool:
    """Whether an error (or its text), or one that led to it, says that a disk is full, a quota is
    used up or a file may not grow."""
    if isinstance(error, str):
        return bool(_WORDS.search(error))
    return error is not None and _full_in(error) is not None


def disk_full_sentence(error: BaseException | str) -> str:
    """One sentence for the user of a command that ended because a disk is full."""
    if isinstance(error, str):
        reason = _line_of(error)
    elif isinstance(error, Refusal):
        return str(error)
    else:
        cause = _full_in(error) or error
        reason = _line_of(str(cause))
        if isinstance(cause, OSError) and cause.strerror:
            reason = ": ".join(filter(None, (_name(cause.filename), cause.strerror)))
    return (
        f"a disk is full or cannot be written ({reason}); nothing that was stored before is lost: "
        "make room and run the same command again"
    )


def _full_in(error: BaseException) -> BaseException | None:
    return next((found for found in _chain(error) if _says_full(found)), None)


def _says_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _NUMBERS
    return bool(_WORDS.search(str(error)))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and those that led to it; Ray keeps the error of a worker in `cause`."""
    waiting, seen = [error], set[int]()
    while waiting:
        found = waiting.pop(0)
        if id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        led = (getattr(found, "cause", None), found.__cause__, found.__context__)
        waiting += [other for other in led if isinstance(other, BaseException)]


def _line_of(text: str) -> str:
    """The line that says it: Tune's errors are tracebacks, SQLAlchemy's quote the statement."""
    lines = [line.strip() for line in text.splitlines()]
    return next((line for line in reversed(lines) if _WORDS.search(line)), " ".join(lines))


def _name(filename: object) -> str:
    return filename if isinstance(filename, str) else ""
