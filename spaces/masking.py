"""Masking: masked language modelling in many languages beside an intermediate task."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from spaces.domains import Choice, Rates
from spaces.mixture import Mixture, proportions, rows_read
from spaces.refusal import Refusal, unknown
from spaces.tasks.source import Source
from spaces.tasks.task import Task

PROPORTIONAL = "proportional"
Share = float | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Masking:
    """The text that is masked, its languages, and its possible shares of the steps of an
    intermediate phase.

    A language is drawn in proportion to its rows to the power `exponent` (Conneau and Lample 2019),
    which raises the share of languages with little text. A share is a number, or `proportional`:
    the text then counts as one more member of the mixture, in proportion to its rows.
    `learning_rate` replaces the intermediate learning rate in phases with masking; None: it is not
    replaced.
    """

    text: Task
    languages: tuple[str, ...] = ()  # (): every language of the text
    exponent: float = 0.3
    shares: tuple[Share, ...] = (PROPORTIONAL,)
    learning_rate: Rates | None = None

    def __post_init__(self) -> None:
        for language in self.languages:
            if language not in self.text.languages:
                raise unknown(f"language of {self.text.name!r}", language, self.text.languages)
        if not 0 < self.exponent <= 1:
            raise Refusal(f"space.mlm.exponent must lie in (0, 1]; got {self.exponent}")
        if not self.shares:
            raise Refusal("space.mlm.shares needs at least one share of the steps; got none")
        for share in self.shares:
            if share != PROPORTIONAL and not (isinstance(share, float) and 0 <= share < 1):
                raise Refusal(
                    f"space.mlm.shares has {share!r}; expected {PROPORTIONAL!r} or a number from "
                    "0 (without masking) to below 1"
                )

    @property
    def domain(self) -> Choice:
        """The values that `mlm.share` may take. 0, training without masking, is always one of them;
        the baseline has it."""
        return Choice(tuple(dict.fromkeys((0.0, *self.shares))))

    @property
    def sources(self) -> tuple[Source, ...]:
        """The text in each of its languages."""
        languages = self.languages or self.text.languages
        return tuple(Source(self.text, language) for language in languages)

    def mixture(self, *, max_train_rows: int | None) -> Mixture:
        """The mixture of the text in all its languages."""
        return Mixture.proportional(
            self.sources,
            temperature=1 / self.exponent,
            cap=None,
            max_train_rows=max_train_rows,
        )

    def share_beside(
        self,
        sources: Iterable[Source],
        *,
        temperature: float,
        cap: int | None,
        max_train_rows: int | None,
    ) -> float:
        """The share of the text where it is one more member of a proportional mixture of
        `sources`."""
        others = tuple(sources)
        read = rows_read((*others, *self.sources), max_train_rows)
        rows = [*read[: len(others)], sum(read[len(others) :])]
        weights = proportions(rows, temperature=temperature, cap=cap)
        return weights[-1] / math.fsum(weights)
