"""Intermediates: the options for the phase before the targets; each option means a mixture."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from spaces.domains import Choice
from spaces.masking import PROPORTIONAL, Masking, Share
from spaces.mixture import Mixture
from spaces.refusal import Refusal, unknown
from spaces.tasks.catalogue import Catalogue
from spaces.tasks.source import Source

NONE, ALL, MIXED = "none", "all", "mixture"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intermediates:
    """The options for the intermediate phase of a study. The tasks of its sources are those of
    `catalogue`.

    `listed` names them: `none`, a source (`mnli`, `mnli@de`), several sources joined by `+`, or
    `all` (every source that any option names). Several sources are mixed in proportion to their
    rows. Where `mixture` is `shares`, `listed` names single sources, and a trial draws the shares
    instead, uniformly from all mixtures. With `masking` each option, including `none`, is tried
    with and without it; `none` with masking is masking alone.
    """

    catalogue: Catalogue
    mixture: Literal["choice", "shares"]
    listed: tuple[str, ...]
    temperature: float
    cap: int | None
    masking: Masking | None = None

    def __post_init__(self) -> None:
        # `none` alone is a study of baselines.
        has_sources = bool(self.sources or self.masking)
        is_baselines = self.listed == (NONE,) and self.mixture == "choice"
        if len(set(self.listed)) != len(self.listed) or not (has_sources or is_baselines):
            raise Refusal(
                f"intermediate needs options, each once, with at least one source, or 'none' "
                f"alone; got {list(self.listed)}"
            )
        if self.mixture == "shares" and any("+" in o or o == ALL for o in self.listed):
            raise Refusal("with mixture = 'shares' intermediate lists plain sources (and none)")
        if self.mixture == "shares" and self.masking and PROPORTIONAL in self.masking.shares:
            raise Refusal(
                "with mixture = 'shares' space.mlm.shares are numbers: only proportional mixtures "
                "have a proportional share"
            )

        if self.mixture == "choice":
            for option in self.listed:
                if option != NONE:
                    self._check_counts(option)

    def _check_counts(self, option: str) -> None:
        """Check that the rows of the sources are counted, where a mixture depends on them."""
        self._unmasked(option, {}, None)
        if self.masking and PROPORTIONAL in self.masking.shares:
            self.masking.share_beside(
                self.members(option),
                temperature=self.temperature,
                cap=self.cap,
                max_train_rows=None,
            )

    @property
    def sources(self) -> tuple[str, ...]:
        """Every source that an option names, each once, as the study file writes it."""
        parts = [p for o in self.listed if o not in (NONE, ALL) for p in o.split("+")]
        for part in parts:
            self.catalogue.source(part)
        return tuple(dict.fromkeys(parts))

    @property
    def options(self) -> tuple[str, ...]:
        """The values that the parameter `intermediate` may take; the baseline is always one of
        them."""
        drawn = (MIXED,) if self.mixture == "shares" else self.listed
        return tuple(dict.fromkeys((NONE, *drawn)))

    @property
    def shares(self) -> Choice:
        """The values that the parameter `mlm.share` may take; (0,) without masking, which has no
        such parameter."""
        return self.masking.domain if self.masking else Choice((0.0,))

    def option_of(self, params: Mapping[str, Any]) -> str:
        """The value of `intermediate` in the parameters. Raises Refusal where it is not an
        option."""
        option: str = read(params, "intermediate")
        if option not in self.options:
            raise unknown("intermediate", str(option), self.options)
        return option

    def share_of(self, params: Mapping[str, Any]) -> Share:
        """The value of `mlm.share` in the parameters, 0 without masking. Raises Refusal where it is
        not one of the allowed shares."""
        if self.masking is None:
            return 0.0
        share: Share = read(params, "mlm.share")
        if share not in self.shares:
            raise Refusal(f"mlm.share is {share!r}; expected {self.shares}")
        return share

    def members(self, option: str) -> tuple[Source, ...]:
        """The sources of an option, without the text of masking; none for `none`."""
        if option == NONE:
            return ()
        names = self.sources if option in (ALL, MIXED) else option.split("+")
        return tuple(self.catalogue.source(name) for name in names)

    def mixture_of(
        self, option: str, share: Share, params: Mapping[str, Any], *, max_train_rows: int | None
    ) -> Mixture:
        """The mixture that a phase with this option and this masking share trains on. The caller
        ensures that it has a source."""
        if not share or self.masking is None:
            return self._unmasked(option, params, max_train_rows)
        masked = self.masking.mixture(max_train_rows=max_train_rows)
        if option == NONE:
            return masked
        if share == PROPORTIONAL:
            share = self.masking.share_beside(
                self.members(option),
                temperature=self.temperature,
                cap=self.cap,
                max_train_rows=max_train_rows,
            )
        mixture = self._unmasked(option, params, max_train_rows)
        return mixture.combined_with(masked, share=float(share))

    def _unmasked(
        self, option: str, params: Mapping[str, Any], max_train_rows: int | None
    ) -> Mixture:
        if option == MIXED:
            # Minus the log of a uniform draw is a Gamma(1) draw. Normalised, such draws are uniform
            # over all mixtures.
            draws = (-math.log(read(params, f"mix.{name}")) for name in self.sources)
            return Mixture.of(zip(self.members(MIXED), draws, strict=True))
        return Mixture.proportional(
            self.members(option),
            temperature=self.temperature,
            cap=self.cap,
            max_train_rows=max_train_rows,
        )


def read(params: Mapping[str, Any], name: str) -> Any:
    """The value of a parameter. Raises Refusal where it is missing."""
    if name not in params:
        raise Refusal(
            f"the parameters {dict(params)} have no {name!r}: they are not of this search space"
        )
    return params[name]
