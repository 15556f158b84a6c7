"""Mixture: training sources with their shares of the steps."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from spaces.refusal import Refusal
from spaces.tasks.catalogue import Source, TaskKind, get_task

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
    def of(cls, weights: Mapping[str, float]) -> "Mixture":
        """A mixture with shares in proportion to `weights`; a source of weight zero is left out.
        Raises Refusal for weights that are negative, infinite or all zero."""
        for name, weight in weights.items():
            if not (math.isfinite(weight) and weight >= 0):
                raise Refusal(f"share of {name!r} must be finite and not negative; got {weight}")
        if not any(weights.values()):
            raise Refusal(f"a mixture needs one share above zero; got {dict(weights)}")
        total = math.fsum(weights.values())
        # Shares are summed under the parsed source, so `mnli` and `mnli@en` are one source.
        merged: dict[Source, float] = {}
        for name, weight in weights.items():
            source = Source.parse(name)
            merged[source] = merged.get(source, 0.0) + weight / total
        return cls(tuple(sorted((source, share) for source, share in merged.items() if share > 0)))

    @classmethod
    def proportional(
        cls,
        sources: Iterable[str],
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
        read = rows_read(sources, max_train_rows)
        return cls.of(proportions(read, temperature=temperature, cap=cap))

    def combined_with(self, other: "Mixture", *, share: float) -> "Mixture":
        """A mixture of both: the other one in `share` of the steps, this one in the rest. Raises
        Refusal for a share outside (0, 1)."""
        if not 0 < share < 1:
            raise Refusal(f"the share of a second mixture must lie between 0 and 1; got {share}")
        weights = {name: value * (1 - share) for name, value in self.to_dict().items()}
        for name, value in other.to_dict().items():
            weights[name] = weights.get(name, 0.0) + value * share
        return Mixture.of(weights)

    @property
    def sources(self) -> tuple[Source, ...]:
        return tuple(source for source, _ in self.shares)

    def __str__(self) -> str:
        """`mnli`, `csqa:0.20+mnli:0.80`; a task in more than MAX_NAMED languages is named once."""
        by_task: dict[str, list[tuple[Source, float]]] = {}
        for source, share in self.shares:
            by_task.setdefault(source.task, []).append((source, share))
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
            if get_task(source.task).kind is TaskKind.MLM:
                masked[source.task] = masked.get(source.task, 0.0) + share
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
        return {f"{source.task}@{source.language}": share for source, share in self.shares}

    @classmethod
    def from_dict(cls, shares: Mapping[str, float]) -> "Mixture":
        """The inverse of `to_dict`, exact to the last bit."""
        return cls(tuple(sorted((Source.parse(name), share) for name, share in shares.items())))


def rows_read(sources: Iterable[str], max_train_rows: int | None) -> dict[str, int]:
    """The rows of each source that a phase reads, at most `max_train_rows`. Raises Refusal for a
    limit below 1."""
    if max_train_rows is not None and max_train_rows <= 0:
        raise Refusal(f"max_train_rows must be above zero; got {max_train_rows}")
    parsed = {name: Source.parse(name) for name in sources}
    rows = {name: get_task(s.task).num_rows_in(s.language) for name, s in parsed.items()}
    return {name: min(count, max_train_rows or count) for name, count in rows.items()}


def proportions(
    rows: Mapping[str, int], *, temperature: float, cap: int | None
) -> dict[str, float]:
    """The weight of each name: min(rows, cap) to the power 1 / temperature, as a part of the
    largest. Raises Refusal for a temperature or cap that is not above zero."""
    if not (math.isfinite(temperature) and temperature > 0):
        raise Refusal(f"temperature must be finite and above zero; got {temperature}")
    if cap is not None and cap <= 0:
        raise Refusal(f"cap must be above zero; got {cap}")
    counted = {name: min(count, cap or count) for name, count in rows.items()}
    # Divided first, because a power of the counts themselves overflows at low temperatures.
    largest = max(counted.values(), default=0) or 1
    return {name: (count / largest) ** (1 / temperature) for name, count in counted.items()}
