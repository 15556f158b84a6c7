"""Intermediates: what a phase before the targets may train on; each option means a mixture."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from spaces.domains import Choice
from spaces.masking import PROPORTIONAL, Masking, Share
from spaces.mixture import Mixture
from spaces.refusal import Refusal, unknown
from spaces.task_catalog import Source

NONE, ALL, MIXED = "none", "all", "mixture"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intermediates:
    """The options of a study's intermediate phases.

    `listed` names them: `none`, a source (`mnli`, `mnli@de`), several joined by `+`, or `all`
    (every source that any option names), mixed in proportion to their rows. Where `mixture` is
    `shares` it lists sources, and a trial draws a point of their simplex instead. With `masking`
    each option is tried without and with it, `none` too, which is masking alone.
    """

    mixture: Literal["choice", "shares"]
    listed: tuple[str, ...]
    temperature: float
    cap: int | None
    masking: Masking | None = None

    def __post_init__(self) -> None:
        has_sources = bool(self.sources or self.masking)
        if len(set(self.listed)) != len(self.listed) or not has_sources:
            raise Refusal(
                f"intermediate lists options, each once, one source at least; "
                f"got {list(self.listed)}"
            )
        if self.mixture == "shares" and any("+" in o or o == ALL for o in self.listed):
            raise Refusal("with mixture = 'shares' intermediate lists plain sources (and none)")
        if self.mixture == "shares" and self.masking and PROPORTIONAL in self.masking.shares:
            raise Refusal(
                "with mixture = 'shares' space.mlm.shares are numbers: only proportional mixtures "
                "have a proportional share"
            )

    @property
    def sources(self) -> tuple[str, ...]:
        """Every source that an option names, each once."""
        parts = [p for o in self.listed if o not in (NONE, ALL) for p in o.split("+")]
        for part in parts:
            Source.parse(part)
        return tuple(dict.fromkeys(parts))

    @property
    def options(self) -> tuple[str, ...]:
        """What `intermediate` may be; the baseline is always among them."""
        drawn = (MIXED,) if self.mixture == "shares" else self.listed
        return tuple(dict.fromkeys((NONE, *drawn)))

    @property
    def shares(self) -> Choice:
        """What `mlm.share` may be; without masking there is no such parameter."""
        return self.masking.domain if self.masking else Choice((0.0,))

    def option_of(self, params: Mapping[str, Any]) -> str:
        """The one that the params say. Raises Refusal where it is none of these."""
        option: str = read(params, "intermediate")
        if option not in self.options:
            raise unknown("intermediate", str(option), self.options)
        return option

    def share_of(self, params: Mapping[str, Any]) -> Share:
        """The share of masking that the params say. Raises Refusal where it is none of these."""
        if self.masking is None:
            return 0.0
        share: Share = read(params, "mlm.share")
        if share not in self.shares:
            raise Refusal(f"mlm.share is {share!r}; expected {self.shares}")
        return share

    def members(self, option: str) -> tuple[str, ...]:
        """The sources of an option, without those of masking; `none` has none."""
        if option == NONE:
            return ()
        return self.sources if option in (ALL, MIXED) else tuple(option.split("+"))

    def mixture_of(
        self, option: str, share: Share, params: Mapping[str, Any], *, max_train_rows: int | None
    ) -> Mixture:
        """What a phase with this option and this share of masking trains on; one has sources."""
        if not share or self.masking is None:
            return self._unmasked(option, params, max_train_rows)
        masked = self.masking.alone(max_train_rows=max_train_rows)
        if option == NONE:
            return masked
        if share == PROPORTIONAL:
            share = self.masking.share_beside(
                self.members(option),
                temperature=self.temperature,
                cap=self.cap,
                max_train_rows=max_train_rows,
            )
        return self._unmasked(option, params, max_train_rows).beside(masked, share=float(share))

    def _unmasked(
        self, option: str, params: Mapping[str, Any], max_train_rows: int | None
    ) -> Mixture:
        if option == MIXED:
            # Minus log of a uniform is Gamma(1): normalised, these are uniform over all mixtures.
            return Mixture.of({s: -math.log(read(params, f"mix.{s}")) for s in self.sources})
        return Mixture.proportional(
            self.members(option),
            temperature=self.temperature,
            cap=self.cap,
            max_train_rows=max_train_rows,
        )


def read(params: Mapping[str, Any], name: str) -> Any:
    """A parameter. Raises Refusal where it is not among them."""
    if name not in params:
        raise Refusal(f"the parameters {dict(params)} lack {name!r}: they are not of this space")
    return params[name]
