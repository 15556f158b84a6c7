"""Refusal: the exception for a user's mistake. The command line prints it as one line and exits
with 2."""

import difflib
from collections.abc import Iterable

from spaces.redaction import hide_secrets


class Refusal(ValueError):
    """A user's mistake, in one line: what was given, what was expected, the nearest known name, how
    to fix it. Passwords and tokens in it are hidden."""

    def __str__(self) -> str:
        return hide_secrets(super().__str__())


class AwayError(Refusal):
    """A service does not answer or denies access. The request itself was correct, and may succeed
    when it is repeated."""


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
    names = sorted(known)
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    shown = ", ".join(names[:40]) + (", ..." if len(names) > 40 else "")
    return Refusal(f"unknown {kind} {given!r}.{hint} Known: {shown}")
