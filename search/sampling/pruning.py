"""Which trials end half-way: a rule that compares like with like. Pure.

A rung is one target phase, half-way through. What a trial got there is compared with what others
got at the same rung alone, so that neither the order of the targets nor their levels matter.
(Optuna's median pruner compares the best value of all rungs with the median at the last one.)

Only trials that trained the phase have a value at its rung. One that took the phase from the store,
or took it up from a checkpoint beyond its half, has none: it is not pruned there, for there is
little to save, and nobody is compared with it.
"""

from collections.abc import Sequence

MIN_OTHERS = 5  # values at a rung, the trial's own left out


def is_among_the_lowest_third(value: float, others: Sequence[float]) -> bool:
    """Whether, of all the values at a rung, this one is in the lowest third; not where there are
    fewer than MIN_OTHERS others. An equal value stands below it.

    Args:
        value: in [0, 1], higher is better.
        others: of the other trials of the study, those that were pruned there included.
    """
    if len(others) < MIN_OTHERS:
        return False
    return sum(other <= value for other in others) < (len(others) + 1) // 3
