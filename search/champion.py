"""Which version of a registered model its alias `champion` points at. Pure.

A new version takes the alias only from one that was scored by the same protocol and is not better.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from search.answers import percent, points
from search.intervals import mean_interval, unpaired_difference
from trainables.scores import Scores, ScoringProtocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a version is worth: its target's zero-shot mean for each fresh seed, by a protocol."""

    protocol: ScoringProtocol
    means: tuple[float, ...]

    @classmethod
    def of(cls, scores: Sequence[Scores], task: str) -> "Claim":
        """Of one target, over the seeds of a retrain."""
        found = [target for one in scores for target in one.targets if target.task == task]
        means = tuple(target.zero_shot_mean for target in found)
        return cls(protocol=found[0].protocol, means=means)

    def to_tags(self) -> dict[str, str]:
        """As the tags of a version."""
        return {
            "protocol": json.dumps(asdict(self.protocol)),
            "zero_shot_means": json.dumps(list(self.means)),
        }

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> "Claim | None":
        """None where the version has no such tags, or some of another kind."""
        try:
            protocol = ScoringProtocol(**json.loads(tags["protocol"]))
            means = tuple(float(value) for value in json.loads(tags["zero_shot_means"]))
        except (KeyError, TypeError, ValueError):
            return None
        return cls(protocol=protocol, means=means) if means else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether a version of a model is its champion from now on, and why, in a sentence."""

    name: str
    is_champion: bool
    reason: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def decide(
    name: str, new: Claim, standing: Mapping[str, str] | None, *, is_forced: bool = False
) -> Decision:
    """Whether a new version takes the alias from the standing champion.

    Args:
        standing: the tags of the standing champion; None where there is none.
        is_forced: take it anyhow (`--promote`).
    """
    if standing is None:
        return Decision(name=name, is_champion=True, reason="there was none")
    old = Claim.from_tags(standing)
    if old is None:
        reason = "the standing one does not say what it is worth"
    elif different := old.protocol.differences(new.protocol):
        reason = f"the standing one was scored by another protocol ({', '.join(different)})"
    else:
        return _compared(name, new, old, is_forced=is_forced)
    if is_forced:
        return Decision(name=name, is_champion=True, reason=f"{reason}; --promote was given")
    return Decision(
        name=name,
        is_champion=False,
        reason=f"{reason}: they cannot be compared; --promote makes the new one champion",
    )


def _compared(name: str, new: Claim, old: Claim, *, is_forced: bool) -> Decision:
    """Worse is what can be told from as good: the interval of the difference lies below zero. One
    seed has no interval; then a lower mean is worse."""
    gap = unpaired_difference(new.means, old.means)
    is_worse = gap.mean < 0 if gap.high is None else gap.high < 0
    shown = f"{points(gap.mean)} to its {percent(mean_interval(old.means).mean)}"
    if gap.low is not None and gap.high is not None:
        shown += f", 95 % interval {points(gap.low)} to {points(gap.high)}"
    if not is_worse:
        reason = f"not worse than the standing one ({shown})"
    elif is_forced:
        reason = f"worse than the standing one ({shown}), but --promote was given"
    else:
        reason = f"worse than the standing one ({shown}); --promote makes it champion anyhow"
    return Decision(name=name, is_champion=is_forced or not is_worse, reason=reason)
