"""The callback by which a long function reports how far it is; the command line draws it."""

from collections.abc import Callable

OnDone = Callable[[int, int], None]  # how many of how many are done


def ignore(done: int, of: int) -> None:
    """Report nothing."""
