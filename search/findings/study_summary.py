"""The summary that the driver stores when a study ends, read back. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from search.display.json_form import from_json
from search.planning.priors import Priors
from search.trials.language_verdicts import SelectionVerdicts


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySummary:
    """What was judged when the study ended; empty before. Summaries of older versions lack keys.

    `importance` is the share of the first objective's variation by param, in [0, 1], `importances`
    the same by objective. `pareto` are numbers of trials. `exhausted` is `space` or `sampler`.
    """

    verdicts: SelectionVerdicts | None = None
    importance: Mapping[str, float] | None = None
    importances: Mapping[str, Mapping[str, float]] | None = None
    pareto: tuple[int, ...] = ()
    priors: Priors | None = None
    exhausted: str | None = None
    is_exhausted: bool | None = None

    @classmethod
    def read(cls, stored: Mapping[str, JsonValue]) -> "StudySummary":
        """Read a stored summary. Raises Refusal where a value cannot be read."""
        return from_json(cls, dict(stored), where="the study's summary in the record")

    @property
    def importance_by_objective(self) -> Mapping[str, Mapping[str, float]]:
        """Objective -> param -> its share; of one objective under `the objective`."""
        return self.importances or {"the objective": self.importance or {}}

    @property
    def ran_out_of(self) -> str | None:
        """`space` or `sampler`; older versions wrote `is_exhausted`, whichever it was."""
        return self.exhausted or ("sampler" if self.is_exhausted else None)
