"""The one exception for a user's mistake; the command line prints it as one line and exits 2."""

import difflib
from collections.abc import Iterable


class Refusal(ValueError):
    """What was given, what was expected, the nearest known name and how to mend it, in a line."""


class AwayError(Refusal):
    """A service that does not answer, or does not let us in: nothing is wrong with what was asked,
    and another try may find it again."""


def first_line(error: BaseException, *, empty: str | None = None) -> str:
    """What an error says, cut to its first line. `empty` stands in for an error that says nothing;
    None: the name of its type does."""
    lines = str(error).strip().splitlines()
    if lines:
        return lines[0]
    return type(error).__name__ if empty is None else empty


def unknown(what: str, given: str, known: Iterable[str]) -> Refusal:
    """A refusal of a name that is not among `known`, with the nearest one that is."""
    names = sorted(known)
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    shown = ", ".join(names[:40]) + (", ..." if len(names) > 40 else "")
    return Refusal(f"unknown {what} {given!r}.{hint} Known: {shown}")
