"""The standard streams of the command line: text in any encoding, a full disk, a closed pipe."""

import codecs
import contextlib
import os
import sys
from typing import TextIO

ESCAPED = "transfer-search-escaped"  # the error handler of the standard streams


def prepare_streams() -> None:
    """Make standard output and standard error take any text: what their encoding does not have is
    written as JSON escapes it. A stream that is closed is replaced by one that drops everything."""
    codecs.register_error(ESCAPED, _escaped)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
        elif name != "stdin" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=ESCAPED)


def takes_unicode(stream: TextIO) -> bool:
    """Whether the stream's encoding has every character."""
    with contextlib.suppress(LookupError):
        return codecs.lookup(stream.encoding or "").name.startswith("utf-")
    return False


def flush_output() -> None:
    """Write what standard output still holds. Raises OSError where that is not possible; the rest
    is then dropped, so that the interpreter does not try again when it ends."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        drop_output()
        raise
    except OSError as error:
        drop_output()
        raise OSError(error.errno, error.strerror, "standard output") from error


def drop_output() -> None:
    """Let standard output write into the null device from now on."""
    null = os.open(os.devnull, os.O_WRONLY)
    with contextlib.suppress(OSError, ValueError):  # a stream without a file
        os.dup2(null, sys.stdout.fileno())
        sys.stdout.flush()
    os.close(null)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """Write characters as JSON writes them, so that JSON stays JSON in every encoding."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    codes = (units[i : i + 2].hex() for i in range(0, len(units), 2))
    return "".join(f"\\u{code}" for code in codes), error.end
