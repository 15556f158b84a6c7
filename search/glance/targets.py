"""Who gains and who loses: the languages of each target. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from search.findings.findings import Findings
from search.glance.evidence import Evidence, LanguageGain
from search.trials.language_verdicts import Call

MAX_NAMED = 4  # languages of a target, each way


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRow:
    """One target over its zero-shot languages. `better` and `worse` count the significant
    differences; they are None where the differences were not tested."""

    task: str
    is_objective: bool
    gain: float
    num_languages: int
    better: int | None
    worse: int | None
    gaining: tuple[LanguageGain, ...]
    """The languages that gain most, the largest gain first."""
    losing: tuple[LanguageGain, ...]
    """The languages that lose most, the largest loss first."""


def target_rows(findings: Findings, evidence: Evidence) -> tuple[TargetRow, ...]:
    """A row for each target: those of the objective, then the others, the worst hit first."""
    by_task: dict[str, list[LanguageGain]] = {}
    for cell in evidence.languages:
        by_task.setdefault(cell.task, []).append(cell)
    objective = findings.objective_targets
    rows = [_row(task, cells, task in objective) for task, cells in by_task.items()]
    others = (row for row in rows if not row.is_objective)
    return (
        *(row for row in rows if row.is_objective),
        *sorted(others, key=lambda row: (-(row.worse or 0), row.gain)),
    )


def _row(task: str, cells: Sequence[LanguageGain], is_objective: bool) -> TargetRow:
    calls = [cell.call for cell in cells if cell.call is not None]
    order = sorted(cells, key=lambda cell: cell.mean)
    return TargetRow(
        task=task,
        is_objective=is_objective,
        gain=fmean(cell.mean for cell in cells),
        num_languages=len(cells),
        better=calls.count(Call.BETTER) if calls else None,
        worse=calls.count(Call.WORSE) if calls else None,
        gaining=tuple(cell for cell in reversed(order) if cell.mean > 0)[:MAX_NAMED],
        losing=tuple(cell for cell in order if cell.mean < 0)[:MAX_NAMED],
    )
