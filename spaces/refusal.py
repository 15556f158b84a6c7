"""Refusal: the exception for a user's mistake. The command line prints it as one line and exits
with 2."""

import difflib
import re
import reprlib
from collections.abc import Iterable
from typing import Any

from spaces.redaction import hide_secrets

MAX_SHOWN = 200  # characters of a user's value that a message repeats

MAX_WORD, MAX_MESSAGE = 300, 3000  # letters that a message shows of one word, and of everything
MAX_GIVEN = 100  # letters that are compared with known names


class Refusal(ValueError):
    """A user's mistake, in one line: what was given, what was expected, the nearest known name, how
    to fix it. Passwords and tokens in it are hidden, and a very long text that it quotes is
    shortened."""

    def __init__(self, message: str = "") -> None:
        super().__init__(shortened(hide_secrets(message)))


class AwayError(Refusal):
    """A service does not answer or denies access. The request itself was correct, and may succeed
    when it is repeated."""


def shown(value: Any) -> str:
    """The value as Python writes it, for a message. A long or deep value is cut: a text to its
    first characters and its length, so that a message stays one short line."""
    if isinstance(value, str) and len(value) > MAX_SHOWN:
        return f"{value[: MAX_SHOWN // 4]!r}... ({len(value):,} characters)"
    text = repr(value) if isinstance(value, str) else _REPR.repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def _limited_repr() -> reprlib.Repr:
    limited = reprlib.Repr()
    limited.maxlist = limited.maxtuple = limited.maxdict = 20
    limited.maxstring = limited.maxother = limited.maxlong = MAX_SHOWN
    return limited


_REPR = _limited_repr()


def one_line(text: str, *, limit: int = 1000) -> str:
    """The text in one line of at most `limit` characters. Line breaks, control characters and
    halves of surrogate pairs are written as escapes (`\\n`)."""
    cut = text if len(text) <= limit else f"{text[:limit]}..."
    if cut.isprintable():
        return cut
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in cut)


def shortened(text: str) -> str:
    """The text with the middle of its very long words left out, and the middle of all of it where
    it is still very long."""
    if len(text) <= MAX_WORD:
        return text
    words = (_without_middle(word, MAX_WORD) for word in re.split(r"(\s)", text))
    return _without_middle("".join(words), MAX_MESSAGE)


def _without_middle(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    return f"{text[: limit // 2]}...{text[-(limit // 2) :]}"


def first_line(error: BaseException, *, empty: str | None = None) -> str:
    """The first line of an error's text, without passwords and tokens. An error without a text
    gives `empty`, or the name of its type where `empty` is None."""
    lines = hide_secrets(str(error)).strip().splitlines()
    if lines:
        return lines[0]
    return type(error).__name__ if empty is None else empty


def unknown(kind: str, given: str, known: Iterable[str]) -> Refusal:
    """A refusal of the name `given`, with the nearest name in `known`. `kind` says what is named:
    `task`."""
    names, given = sorted(known), _without_middle(given, MAX_GIVEN)
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    listed = ", ".join(names[:40]) + (", ..." if len(names) > 40 else "")
    return Refusal(f"unknown {kind} {shown(given)}.{hint} Known: {listed}")
