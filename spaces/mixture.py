"""Mixture: training sources with their shares of the steps."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from spaces.refusal import Refusal
from spaces.tasks.catalogue import Catalogue
from spaces.tasks.source import Source
from spaces.tasks.task import TaskKind

MAX_NAMED = 3  # the most languages of one task, or tasks, that the name of a mixture lists


@dataclass(frozen=True, slots=True)
class Mixture:
    """Sources with their shares, sorted by source. The shares sum to one. Raises Refusal where they
    do not."""

    shares: tuple[tuple[Source, float], ...]

    def __post_init__(self) -> None:
        sources = [source for source, _ in self.shares]
        if not sources or sources != sorted(set(sources)):
            raise Refusal(f"a mixture needs sources, each once and in order; got {self.shares}")
        values = [share for _, share in self.shares]
        if not all(math.isfinite(share) and share > 0 for share in values):
            raise Refusal(f"shares must be finite and above zero; got {values}")
        if abs(math.fsum(values) - 1) > 1e-9:
            raise Refusal(f"shares must sum to one; {values} sum to {math.fsum(values)}")

    @classmethod
    def of(cls, weights: Iterable[tuple[Source, float]]) -> "Mixture":
        """A mixture with shares in proportion to `weights`; a source of weight zero is left out,
        and the weights of one that is there twice are added. Raises Refusal for weights that are
        negative, infinite or all zero."""
        pairs = tuple(weights)
        for source, weight in pairs:
            if not (math.isfinite(weight) and weight >= 0):
                raise Refusal(f"share of '{source}' must be finite and not negative; got {weight}")
        if not any(weight for _, weight in pairs):
            named = {str(source): weight for source, weight in pairs}
            raise Refusal(f"a mixture needs one share above zero; got {named}")
        total = math.fsum(weight for _, weight in pairs)
        merged: dict[Source, float] = {}
        for source, weight in pairs:
            merged[source] = merged.get(source, 0.0) + weight / total
        return cls(tuple(sorted((source, share) for source, share in merged.items() if share > 0)))

    @classmethod
    def proportional(
        cls,
        sources: Iterable[Source],
        *,
        temperature: float,
        cap: int | None,
        max_train_rows: int | None = None,
    ) -> "Mixture":
        """Examples-proportional mixing: min(rows, cap) to the power 1 / temperature (Raffel et al.
        2020, the T5 paper; seqio).

        Args:
            temperature: 1 keeps the proportions; larger values bring the shares closer together.
            cap: the most rows of a source that are counted; 2**17 in Phang et al. 2020.
            max_train_rows: the most rows of a source that the phase reads.
        """
        mixed = tuple(sources)
        read = rows_read(mixed, max_train_rows)
        return cls.of(zip(mixed, proportions(read, temperature=temperature, cap=cap), strict=True))

    def combined_with(self, other: "Mixture", *, share: float) -> "Mixture":
        """A mixture of both: the other one in `share` of the steps, this one in the rest. Raises
        Refusal for a share outside (0, 1)."""
        if not 0 < share < 1:
            raise Refusal(f"the share of a second mixture must lie between 0 and 1; got {share}")
        weights = {source: value * (1 - share) for source, value in self.shares}
        for source, value in other.shares:
            weights[source] = weights.get(source, 0.0) + value * share
        return Mixture.of(weights.items())

    @property
    def sources(self) -> tuple[Source, ...]:
        return tuple(source for source, _ in self.shares)

    def __str__(self) -> str:
        """`mnli`, `csqa:0.20+mnli:0.80`; a task in more than MAX_NAMED languages is named once."""
        by_task: dict[str, list[tuple[Source, float]]] = {}
        for source, share in self.shares:
            by_task.setdefault(source.task.name, []).append((source, share))
        named: list[tuple[str, float]] = []
        for task, parts in by_task.items():
            if len(parts) > MAX_NAMED:
                total = math.fsum(share for _, share in parts)
                named.append((f"{task}({len(parts)} languages)", total))
            else:
                named += [(str(source), share) for source, share in parts]
        if len(named) == 1:
            return named[0][0]
        return "+".join(f"{name}:{share:.2f}" for name, share in named)

    @property
    def short(self) -> str:
        """A short name for tables: `mnli`, `csqa:0.20+mnli:0.80`, `7 tasks`. Masked text comes
        last, with its share: `mnli +flores:0.82`. Two mixtures may have the same short name."""
        masked: dict[str, float] = {}
        others: list[tuple[Source, float]] = []
        for source, share in self.shares:
            if source.task.kind is TaskKind.MLM:
                masked[source.task.name] = masked.get(source.task.name, 0.0) + share
            else:
                others.append((source, share))
        if not others:
            return "+".join(masked)
        if len(others) == 1:
            first = str(others[0][0])
        elif len(others) > MAX_NAMED:
            first = f"{len(others)} tasks"
        else:
            first = "+".join(f"{source}:{share:.2f}" for source, share in others)
        return first + "".join(f" +{task}:{share:.2f}" for task, share in masked.items())

    def to_dict(self) -> dict[str, float]:
        """The shares by source, written in full: `mnli@en`."""
        return {source.full_name: share for source, share in self.shares}

    @classmethod
    def from_dict(cls, shares: Mapping[str, float], catalogue: Catalogue) -> "Mixture":
        """The inverse of `to_dict`, exact to the last bit. Raises Refusal for a task that the
        catalogue does not have."""
        parsed = ((catalogue.source(name), share) for name, share in shares.items())
        return cls(tuple(sorted(parsed)))


def rows_read(sources: Sequence[Source], max_train_rows: int | None) -> list[int]:
    """The rows of each source that a phase reads, at most `max_train_rows`. Raises Refusal for a
    limit below 1, and for one of several sources whose number of rows is not known."""
    if max_train_rows is not None and max_train_rows <= 0:
        raise Refusal(f"max_train_rows must be above zero; got {max_train_rows}")
    rows = []
    for source in sources:
        count = source.task.num_rows_in(source.language)
        if not count and len(sources) > 1:
            raise Refusal(
                f"a mixture in proportion to rows needs the number of training rows of '{source}': "
                f"write num_train_rows into [tasks.{source.task.name}]"
            )
        rows.append(min(count or 1, max_train_rows or count or 1))
    return rows


def proportions(rows: Sequence[int], *, temperature: float, cap: int | None) -> list[float]:
    """The weights of sources with these numbers of rows: min(rows, cap) to the power 1 /
    temperature, as a part of the largest. Raises Refusal for a temperature or cap that is not above
    zero."""
    if not (math.isfinite(temperature) and temperature > 0):
        raise Refusal(f"temperature must be finite and above zero; got {temperature}")
    if cap is not None and cap <= 0:
        raise Refusal(f"cap must be above zero; got {cap}")
    counted = [min(count, cap or count) for count in rows]
    # Divided first, because a power of the counts themselves overflows at low temperatures.
    largest = max(counted, default=0) or 1
    return [(count / largest) ** (1 / temperature) for count in counted]
