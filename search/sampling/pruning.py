"""The pruning rule: decides which trials end half-way through a target phase. Pure.

A rung is the middle of one target phase. A trial's value at a rung is compared only with the values
of other trials at the same rung, so neither the order of the targets nor the level of their scores
matters. (Optuna's median pruner compares the best value over all rungs with the median at the last
rung.)

Only trials that trained the phase have a value at its rung. A trial that reused the stored phase,
or resumed it from a checkpoint after the middle, has none. It is not pruned there, since little
time could be saved, and no trial is compared with it.
"""

from collections.abc import Sequence

MIN_OTHERS = 5  # values of other trials at a rung, below which no trial is pruned there


def is_among_the_lowest_third(value: float, others: Sequence[float]) -> bool:
    """Return whether a value is in the lowest third of all values at its rung.

    An equal value counts as lower. The answer is False with fewer than MIN_OTHERS other values.

    Args:
        value: value of the trial in [0, 1]; higher is better.
        others: values of the study's other trials at this rung, pruned ones included.
    """
    if len(others) < MIN_OTHERS:
        return False
    return sum(other <= value for other in others) < (len(others) + 1) // 3
