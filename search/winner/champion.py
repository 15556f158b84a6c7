"""Which version of a registered model its alias `champion` points at. Pure.

A new version takes the alias only if it is shown to be at most a margin worse than the best version
so far. The best is taken over all versions that were scored by the same protocol, not only the
current champion. A difference that is not significant does not prove that there is none, and many
steps down, each too small to be seen, add up (non-inferiority with a margin and against a fixed
reference: ICH E9, 1998; E10, 2000, on "biocreep").

The comparison is between two models, one seed each, because a single model answers requests. It
uses the best evidence that there is:

    rows    the test rows of both models, pair by pair: how much other rows would change the result
    counts  the two scores, and the most that a mean of so many rows may vary
    seeds   the means over the seeds of the two retrains, for versions without a score of their own
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from scipy.special import ndtri

from search.display.number_format import percent, points
from search.stats.intervals import Interval, mean_interval, unpaired_difference
from search.stats.significance import CONFIDENCE, model_difference
from trainables.scoring.outcomes import ByLanguage, score_of
from trainables.scoring.scores import Scores, ScoringProtocol, TargetScores

MARGIN = 0.003  # of the zero-shot mean: a new version may be worse by at most this much


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The scores of a version: the zero-shot mean of its target on the test split, in [0, 1], by a
    protocol. `means` has that of every fresh seed, `model_mean` that of the model itself (None in
    older versions).

    `num_rows` is that of the language with the fewest rows; `rows` has the outcome of each row, by
    zero-shot language.
    """

    protocol: ScoringProtocol
    means: tuple[float, ...]
    model_mean: float | None = None
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
        """The claim for one target, over the seeds of a retrain; `model` is one of these seeds."""
        of_seeds = [_target(seed_scores, task) for seed_scores in scores]
        means = tuple(target.zero_shot_mean for target in of_seeds)
        claim = cls(protocol=of_seeds[0].protocol, means=means)
        if model is None:
            return claim
        of_model = _target(model, task)
        num_rows = min(of_model.num_rows[language] for language in of_model.zero_shot)
        claim = replace(claim, model_mean=of_model.zero_shot_mean, num_rows=num_rows)
        return claim.with_rows(rows, list(of_model.zero_shot))

    @property
    def score(self) -> float:
        """The zero-shot mean of the model itself; for an older version, the mean over its seeds."""
        return mean_interval(self.means).mean if self.model_mean is None else self.model_mean

    def to_tags(self) -> dict[str, str]:
        """The tags of a version, without the outcomes of rows, which are too long for a tag."""
        of_model = {"zero_shot_mean": self.model_mean, "num_rows": self.num_rows}
        return {
            "protocol": json.dumps(asdict(self.protocol)),
            "zero_shot_means": json.dumps(list(self.means)),
            **{name: json.dumps(value) for name, value in of_model.items() if value is not None},
        }

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> "Claim | None":
        """The claim in a version's tags; None if it has none, or unreadable ones."""
        try:
            protocol = ScoringProtocol(**json.loads(tags["protocol"]))
            means = tuple(float(value) for value in json.loads(tags["zero_shot_means"]))
            model_mean = float(tags["zero_shot_mean"]) if "zero_shot_mean" in tags else None
            num_rows = int(tags["num_rows"]) if "num_rows" in tags else None
        except (KeyError, TypeError, ValueError):
            return None
        if not means:
            return None
        return cls(protocol=protocol, means=means, model_mean=model_mean, num_rows=num_rows)

    def with_rows(self, rows: ByLanguage | None, languages: Sequence[str]) -> "Claim":
        """The claim with the outcome of each row, if the model's score is the mean of these rows;
        otherwise the claim as it is."""
        if rows is None or self.model_mean is None or not all(code in rows for code in languages):
            return self
        scored = rows.of(languages)
        mean = math.fsum(score_of(outcomes) for outcomes in scored.values()) / len(scored)
        if not math.isclose(mean, self.model_mean, abs_tol=1e-9):
            return self
        return replace(self, rows=scored)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether a version of the model `name` is its champion from now on, and why, in a sentence."""

    name: str
    is_champion: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Gap:
    """The score of the new version minus that of the best one so far; `evidence` says what the
    interval was computed from."""

    interval: Interval
    evidence: str


def decide(
    name: str,
    new: Claim,
    standing: str | None,
    versions: Mapping[str, Mapping[str, str]],
    *,
    rows_of: Callable[[str], ByLanguage | None] = lambda version: None,
    is_forced: bool = False,
) -> Decision:
    """Whether a new version takes the alias from the current champion.

    Args:
        standing: the version of the current champion; None if there is none.
        versions: the tags of all other versions, the current champion among them.
        rows_of: the outcome of each test row for a version, by language; None if it was not kept.
        is_forced: make the new version the champion in any case (`--promote`).
    """
    if standing is None:
        return Decision(name=name, is_champion=True, reason="there was no champion before")
    claims = {version: Claim.from_tags(tags) for version, tags in versions.items()}
    old = claims[standing]
    if old is None:
        reason = "the current champion has no recorded score, so the two cannot be compared"
        return _settled(name, reason, is_better=False, is_forced=is_forced)
    if different := old.protocol.differences(new.protocol):
        reason = f"the current champion was scored by another protocol ({', '.join(different)})"
        reason += ", so the two cannot be compared"
        return _settled(name, reason, is_better=False, is_forced=is_forced)
    version, best = _best(new, claims, standing)
    if new.rows is not None:
        best = best.with_rows(rows_of(version), list(new.rows))
    named = f"version {version}, the best so far ({percent(best.score)})"
    gap = gap_of(new, best)
    if gap is None:
        reason = f"it cannot be compared with {named}: one of the two has only one seed"
        return _settled(name, reason, is_better=False, is_forced=is_forced)
    low, high = gap.interval.low, gap.interval.high
    assert low is not None
    assert high is not None
    is_shown = low > -MARGIN
    verdict = "worse than" if high < 0 else "not shown to be as good as"
    reason = (
        f"{'as good as' if is_shown else verdict} {named}: difference {points(gap.interval.mean)}, "
        f"95 % interval {points(low)} to {points(high)}, {gap.evidence}; the whole interval must "
        f"lie above {points(-MARGIN)}"
    )
    return _settled(name, reason, is_better=is_shown, is_forced=is_forced)


def gap_of(new: Claim, old: Claim) -> Gap | None:
    """The score of the new model minus that of the old one, by the best evidence; None if there is
    no interval."""
    if new.rows is not None and old.rows is not None:
        # Seeded by what was scored: the same models get the same interval.
        rng = np.random.default_rng(int(new.protocol.digest, 16))
        paired = model_difference(new.rows, old.rows, rng)
        low, high, num = paired.low, paired.high, paired.num_rows
        interval = Interval(mean=paired.mean, low=low, high=high, std=None, num=num)
        return Gap(interval, f"compared row by row ({num} rows in each language)")
    means = (new.model_mean, old.model_mean)
    if means[0] is not None and means[1] is not None and new.num_rows and old.num_rows:
        gap, num = means[0] - means[1], min(new.num_rows, old.num_rows)
        variance = sum(mean * (1 - mean) for mean in (means[0], means[1])) / num
        half = float(ndtri(0.5 + CONFIDENCE / 2)) * math.sqrt(variance)
        interval = Interval(mean=gap, low=gap - half, high=gap + half, std=None, num=num)
        return Gap(interval, f"from the number of rows alone ({num} in each language)")
    interval = unpaired_difference(new.means, old.means)
    evidence = f"over {len(new.means)} and {len(old.means)} seeds"
    return None if interval.low is None else Gap(interval, evidence)


def _best(new: Claim, claims: Mapping[str, Claim | None], standing: str) -> tuple[str, Claim]:
    """The best of the versions with the new one's protocol; among equals the current champion."""
    comparable = {
        version: claim
        for version, claim in claims.items()
        if claim is not None and not claim.protocol.differences(new.protocol)
    }
    return max(comparable.items(), key=lambda item: (item[1].score, item[0] == standing))


def _settled(name: str, reason: str, *, is_better: bool, is_forced: bool) -> Decision:
    if is_forced and not is_better:
        return Decision(name=name, is_champion=True, reason=f"{reason}; --promote was given")
    if not is_better:
        reason += "; --promote makes the new version the champion"
    return Decision(name=name, is_champion=is_better, reason=reason)


def _target(scores: Scores, task: str) -> TargetScores:
    return next(target for target in scores.targets if target.task == task)
