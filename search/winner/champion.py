"""Which version of a registered model its alias `champion` points at. Pure.

A version takes the alias only where it is shown that it is not worse, by more than a margin, than
the best one so far: of all versions that were scored by the same protocol, not of the standing one
alone. That a difference cannot be told from none is no proof that there is none, and many steps
down of which each is too small to be seen add up (non-inferiority with a margin and against a fixed
reference: ICH E9, 1998; E10, 2000, on "biocreep").

What is compared are models, one seed each, since one of them is what answers. The evidence, the
best that there is:

    rows    both models' test rows, pair by pair: what other rows would say
    counts  the two scores, and how much a mean of so many rows may vary, at most
    seeds   the means over the seeds of the two retrains (versions that do not know their own)
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.special import ndtri

from search.display.number_format import percent, points
from search.stats.intervals import Interval, mean_interval, unpaired_difference
from search.stats.significance import CONFIDENCE, model_difference
from trainables.scoring.outcomes import ByLanguage, score_of
from trainables.scoring.scores import Scores, ScoringProtocol, TargetScores

MARGIN = 0.003  # of the zero-shot mean: what a new version may be worse by, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a version is worth: its target's zero-shot mean on the test split by a protocol, of
    every fresh seed (`means`), and of the model itself (`own`; None in older versions).

    `num_rows` has the language with the fewest; `rows` what each row got, by zero-shot language.
    """

    protocol: ScoringProtocol
    means: tuple[float, ...]
    own: float | None = None
    num_rows: int | None = None
    rows: ByLanguage | None = None

    @classmethod
    def of(
        cls,
        scores: Sequence[Scores],
        task: str,
        *,
        model: Scores | None = None,
        rows: ByLanguage | None = None,
    ) -> "Claim":
        """Of one target, over the seeds of a retrain, one of which is the `model`."""
        found = [_target(one, task) for one in scores]
        means = tuple(target.zero_shot_mean for target in found)
        claim = cls(protocol=found[0].protocol, means=means)
        if model is None:
            return claim
        own = _target(model, task)
        num_rows = min(own.num_rows[language] for language in own.zero_shot)
        claim = replace(claim, own=own.zero_shot_mean, num_rows=num_rows)
        return claim.with_rows(rows, list(own.zero_shot))

    @property
    def worth(self) -> float:
        """The model's own score; of an older version, what its seeds got on average."""
        return mean_interval(self.means).mean if self.own is None else self.own

    def to_tags(self) -> dict[str, str]:
        """As the tags of a version; what rows got is too long for one."""
        own = {"zero_shot_mean": self.own, "num_rows": self.num_rows}
        return {
            "protocol": json.dumps(asdict(self.protocol)),
            "zero_shot_means": json.dumps(list(self.means)),
            **{name: json.dumps(value) for name, value in own.items() if value is not None},
        }

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> "Claim | None":
        """None where the version has no such tags, or some of another kind."""
        try:
            protocol = ScoringProtocol(**json.loads(tags["protocol"]))
            means = tuple(float(value) for value in json.loads(tags["zero_shot_means"]))
            own = float(tags["zero_shot_mean"]) if "zero_shot_mean" in tags else None
            num_rows = int(tags["num_rows"]) if "num_rows" in tags else None
        except (KeyError, TypeError, ValueError):
            return None
        return cls(protocol=protocol, means=means, own=own, num_rows=num_rows) if means else None

    def with_rows(self, rows: ByLanguage | None, languages: Sequence[str]) -> "Claim":
        """With what each row got, where these are the rows that its own score is the mean of."""
        if rows is None or self.own is None or not all(code in rows for code in languages):
            return self
        found = rows.of(languages)
        mean = math.fsum(score_of(array) for array in found.values()) / len(found)
        if not math.isclose(mean, self.own, abs_tol=1e-9):
            return self
        return replace(self, rows=found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether a version of a model is its champion from now on, and why, in a sentence."""

    name: str
    is_champion: bool
    reason: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Gap:
    """The new version less the best one so far; `told` says by what."""

    interval: Interval
    told: str


def decide(
    name: str,
    new: Claim,
    standing: str | None,
    versions: Mapping[str, Mapping[str, str]],
    *,
    rows_of: Callable[[str], ByLanguage | None] = lambda version: None,
    is_forced: bool = False,
) -> Decision:
    """Whether a new version takes the alias from the standing champion.

    Args:
        standing: the version of the standing champion; None where there is none.
        versions: the tags of all other versions, the standing one among them.
        rows_of: what each test row got of a version, by language; None where it was not kept.
        is_forced: take it anyhow (`--promote`).
    """
    if standing is None:
        return Decision(name=name, is_champion=True, reason="there was none")
    claims = {version: Claim.from_tags(tags) for version, tags in versions.items()}
    old = claims[standing]
    if old is None:
        reason = "the standing one does not say what it is worth: they cannot be compared"
        return _settled(name, reason, is_better=False, is_forced=is_forced)
    if different := old.protocol.differences(new.protocol):
        reason = f"the standing one was scored by another protocol ({', '.join(different)})"
        reason += ": they cannot be compared"
        return _settled(name, reason, is_better=False, is_forced=is_forced)
    version, best = _best(new, claims, standing)
    if new.rows is not None:
        best = best.with_rows(rows_of(version), list(new.rows))
    whose = f"version {version}, the best so far at {percent(best.worth)}"
    gap = gap_of(new, best)
    if gap is None:
        reason = f"{whose}, has one seed, or the new one has: they cannot be compared"
        return _settled(name, reason, is_better=False, is_forced=is_forced)
    low, high = gap.interval.low, gap.interval.high
    assert low is not None
    assert high is not None
    is_shown = low > -MARGIN
    verdict = "worse than" if high < 0 else "not shown to be as good as"
    reason = (
        f"{'as good as' if is_shown else verdict} {whose}: {points(gap.interval.mean)}, 95 % "
        f"interval {points(low)} to {points(high)} {gap.told}, where {points(-MARGIN)} at the "
        "lowest is asked for"
    )
    return _settled(name, reason, is_better=is_shown, is_forced=is_forced)


def gap_of(new: Claim, old: Claim) -> Gap | None:
    """The new model less the old one, by the best evidence; None where there is no interval."""
    if new.rows is not None and old.rows is not None:
        # Seeded by what was scored: the same models get the same interval.
        rng = np.random.default_rng(int(new.protocol.digest, 16))
        found = model_difference(new.rows, old.rows, rng)
        low, high, num = found.low, found.high, found.num_rows
        interval = Interval(mean=found.mean, low=low, high=high, std=None, num=num)
        return Gap(interval, f"row by row (of {num} rows a language)")
    if new.own is not None and old.own is not None and new.num_rows and old.num_rows:
        gap, num = new.own - old.own, min(new.num_rows, old.num_rows)
        variance = sum(own * (1 - own) for own in (new.own, old.own)) / num
        half = float(ndtri(0.5 + CONFIDENCE / 2)) * math.sqrt(variance)
        interval = Interval(mean=gap, low=gap - half, high=gap + half, std=None, num=num)
        return Gap(interval, f"by the number of rows ({num} a language) alone")
    interval = unpaired_difference(new.means, old.means)
    told = f"over {len(new.means)} and {len(old.means)} seeds"
    return None if interval.low is None else Gap(interval, told)


def _best(new: Claim, claims: Mapping[str, Claim | None], standing: str) -> tuple[str, Claim]:
    """The best of the versions with the new one's protocol; among equals the standing one."""
    able = {
        version: claim
        for version, claim in claims.items()
        if claim is not None and not claim.protocol.differences(new.protocol)
    }
    return max(able.items(), key=lambda item: (item[1].worth, item[0] == standing))


def _settled(name: str, reason: str, *, is_better: bool, is_forced: bool) -> Decision:
    if is_forced and not is_better:
        return Decision(name=name, is_champion=True, reason=f"{reason}; --promote was given")
    if not is_better:
        reason += "; --promote makes the new one champion"
    return Decision(name=name, is_champion=is_better, reason=reason)


def _target(scores: Scores, task: str) -> TargetScores:
    return next(target for target in scores.targets if target.task == task)
