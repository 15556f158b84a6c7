"""The findings on where transfer is lost, as values. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import computed_field

from search.degradation.slopes import Slope
from search.stats.intervals import Interval

MIN_LANGUAGES = 5  # of fewer there is no regression


@dataclass(frozen=True, slots=True, kw_only=True)
class GapCell:
    """One target in one zero-shot language, means over the seeds; scores in [0, 1]."""

    task: str
    """The target."""
    source_language: str
    """The target's source language."""
    language: str
    """The zero-shot language."""
    before: float
    """The score without intermediate training, in [0, 1]."""
    after: float | None
    """The score with intermediate training, in [0, 1]; null where that side lacks it."""
    gain: float | None
    """`after` minus `before`, in [-1, 1]."""
    gap_before: float | None
    """The source language's score minus `before`; null where the source is not scored."""
    gap_after: float | None
    """The source language's score minus `after`; null where one of them is not scored."""
    fertility: float | None
    """How many tokens a word (or character) of the language takes; null if it was not counted."""
    fertility_unit: Literal["word", "character"]
    """What fertility is counted by: characters in scripts without spaces."""
    distances: Mapping[str, float] = field(default_factory=dict)
    """Kind of distance -> the distance from the source language; known ones only."""

    def score(self, side: Literal["before", "after"]) -> float | None:
        """The score of a side."""
        return self.before if side == "before" else self.after

    def gap(self, side: Literal["before", "after"]) -> float | None:
        """The gap of a side."""
        return self.gap_before if side == "before" else self.gap_after


@dataclass(frozen=True, slots=True, kw_only=True)
class LosingCell:
    """A target in a language that intermediate training makes worse."""

    task: str
    """The target."""
    language: str
    """The zero-shot language."""
    gain: float
    """The score with intermediate training minus the one without, below 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollapsedSides:
    """Collapsed seeds without and with intermediate training."""

    before: Mapping[str, int]
    """Target -> collapsed seeds without intermediate training; only targets with some."""
    after: Mapping[str, int]
    """Target -> collapsed seeds with intermediate training; only targets with some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlopeRow:
    """How the gap grows with one kind of distance, over one target or over all counted targets.

    The slopes and their intervals are null where fewer languages than `min_languages` have this
    distance, or the distance does not vary.
    """

    task: str | None
    """The target; null over all counted targets, each with a level of its own."""
    kind: str
    """The kind of distance."""
    num_languages: int
    """How many zero-shot languages have this distance."""
    unmeasured: tuple[str, ...]
    """The zero-shot languages that lack this distance."""
    nearest: str
    """The language with the smallest distance."""
    farthest: str
    """The language with the largest distance."""
    span: float
    """The distance of the farthest language minus that of the nearest."""
    before: Slope | None = None
    """The slope of the gap without intermediate training."""
    after: Slope | None = None
    """The slope of the gap with intermediate training; null without such a side."""
    change: Slope | None = None
    """The slope of the gap with intermediate training minus the gap without."""
    gain: Slope | None = None
    """The slope of the gain: `change` with its sign turned."""
    over_seeds: Interval | None = None
    """The change over the seeds, for these languages; null where a side has one seed alone."""
    is_established: bool = False
    """Whether the change is significant both over families of languages and over seeds."""

    def slope(self, side: Literal["before", "after", "change"]) -> Slope | None:
        """The slope of a side, or their change."""
        return {"before": self.before, "after": self.after, "change": self.change}[side]

    @property
    def has_change(self) -> bool:
        """Whether the report states a change: it is significant over families of languages, and
        over the seeds where both sides have several."""
        is_significant = self.change is not None and self.change.excludes_zero
        return is_significant and (self.is_established or self.over_seeds is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceGroup:
    """Intermediates whose sources are all in English, or all in other languages."""

    intermediates: tuple[str, ...]
    """The intermediate mixtures, each at its best setting."""
    gain: float
    """The mean gain over the languages that both groups have, in [-1, 1]."""
    languages: Mapping[str, float]
    """Zero-shot language -> the mean gain over the mixtures and targets, in [-1, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanDifference:
    """A difference of two means with its interval over seeds, in [-1, 1]."""

    mean: float
    """The difference."""
    low: float | None
    """The lower end of the 95 % interval."""
    high: float | None
    """The upper end of the 95 % interval."""
    unknown: str | None = None
    """Why there is no interval, in words; null where there is one."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def excludes_zero(self) -> bool:
        """Whether there is an interval, and zero lies outside: the difference is significant."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLanguages:
    """Intermediate sources in English beside those in other languages."""

    english: SourceGroup
    """The mixtures whose sources are all in English."""
    other: SourceGroup
    """The mixtures without an English source."""
    difference: MeanDifference
    """The gain of `other` minus that of `english`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Degradation:
    """The gaps of all targets and zero-shot languages, and their regressions on distance."""

    measured_on: str | None
    """Which trials, or which retrain, the scores come from, in words."""
    intermediate: str | None
    """The intermediate mixture of the side with one, in short; null without such a side."""
    num_seeds: int
    """How many seeds the side without intermediate training has."""
    num_languages: int
    """How many zero-shot languages the counted targets are scored in."""
    min_languages: int = MIN_LANGUAGES
    """The fewest languages that a regression needs."""
    counted: tuple[str, ...]
    """The objective targets that most seeds of both sides learned; only these are regressed."""
    left_out: tuple[str, ...]
    """The objective targets that most seeds of one side did not learn."""
    collapsed: CollapsedSides
    """How many seeds of each side collapsed, by target."""
    languages: tuple[GapCell, ...]
    """One cell for each target and zero-shot language."""
    losers: tuple[LosingCell, ...]
    """The cells that intermediate training makes worse, the worst first."""
    slopes: tuple[SlopeRow, ...] = ()
    """One row for each kind of distance: over all counted targets, then by target where there are
    several."""
    unknown: str | None
    """Why nothing is regressed, in words; null where something is."""
    intermediate_languages: SourceLanguages | None = None
    """English intermediate sources beside others; null where the study lacks one of the groups."""

    @classmethod
    def unmeasured(cls, why: str) -> "Degradation":
        """The findings where there are no two sides to compare."""
        return cls(
            measured_on=None,
            intermediate=None,
            num_seeds=0,
            num_languages=0,
            counted=(),
            left_out=(),
            collapsed=CollapsedSides(before={}, after={}),
            languages=(),
            losers=(),
            unknown=why,
        )

    @property
    def over_all(self) -> list[SlopeRow]:
        """The regressions over all counted targets for which there were enough languages."""
        return [row for row in self.slopes if row.task is None and row.before is not None]
