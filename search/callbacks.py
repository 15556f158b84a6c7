"""The callbacks by which long functions report how far they are; the command line draws them."""

from collections.abc import Callable
from dataclasses import dataclass

OnDone = Callable[[int, int], None]  # how many of how many are done


def ignore(done: int, of: int) -> None:
    """Report nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartCallbacks:
    """What is called while a search starts, each with how many of how many are done.

    Attributes:
        on_pretrained: steps of the encoder that is made at its first use.
        on_prepared: splits of data sets that are tokenised.
        on_checked: sources and targets whose rows are compared.
        on_ranked: tasks that the priors have looked at.
    """

    on_pretrained: OnDone = ignore
    on_prepared: OnDone = ignore
    on_checked: OnDone = ignore
    on_ranked: OnDone = ignore
