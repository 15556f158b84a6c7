"""The result of a study at a glance: all that `run` and `report` print first. Pure."""

from collections import Counter
from dataclasses import dataclass

from search.degradation.findings import Degradation, SlopeRow
from search.degradation.views import ends
from search.display.number_format import points
from search.findings.findings import Findings
from search.glance.cautions import cautions
from search.glance.evidence import Evidence
from search.glance.plans import PlanRow, plan_rows
from search.glance.steps import Asked, Step, steps
from search.glance.targets import TargetRow, target_rows
from search.glance.verdict import verdict_sentences
from search.trials.ranking import TrialState


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """The answer first, then the evidence, then what to be careful about and what to do next."""

    heading: str
    verdict: tuple[str, ...]
    objectives: tuple[str, ...]
    """The objectives that the study names; the plans have a value of each."""
    plans: tuple[PlanRow, ...]
    pareto: str
    """The Pareto set of several objectives, in words; empty without one."""
    targets: tuple[TargetRow, ...]
    measured_on: str
    """The rows and seeds of the gains by target, in words; empty without such gains."""
    is_tested: bool
    """Whether the gains by target were tested for significance."""
    distance: str
    """How the gaps depend on distance, in one sentence; empty where nothing was regressed."""
    cautions: tuple[str, ...]
    steps: tuple[Step, ...]

    @classmethod
    def of(cls, findings: Findings, asked: Asked | None = None) -> "Glance":
        """The glance of findings; `asked` is what the next command needs to find the study."""
        evidence = Evidence.of(findings)
        return cls(
            heading=_heading(findings),
            verdict=verdict_sentences(findings, evidence),
            objectives=tuple(findings.objectives),
            plans=plan_rows(findings),
            pareto=_pareto(findings),
            targets=target_rows(findings, evidence),
            measured_on=_measured_on(evidence),
            is_tested=any(cell.call is not None for cell in evidence.languages),
            distance=_distance(findings.degradation, evidence),
            cautions=cautions(findings, evidence),
            steps=tuple(steps(findings, evidence, asked or Asked(study=findings.study))),
        )


def _heading(findings: Findings) -> str:
    counts = Counter(trial.state for trial in findings.trials)
    scored = f"{counts[TrialState.SCORED]} of {len(findings.trials)} trials scored"
    others = (TrialState.FAILED, TrialState.PRUNED, TrialState.RUNNING)
    named = [scored, *(f"{counts[state]} {state}" for state in others if counts[state])]
    return f"Study {findings.study} ({findings.state}): {', '.join(named)}"


def _pareto(findings: Findings) -> str:
    numbers = [str(entry.number) for entry in findings.pareto]
    if len(findings.objectives) < 2 or not numbers:
        return ""
    first = f"; retrain takes {numbers[0]}, unless --trial names another" if numbers[1:] else ""
    return f"Pareto set: trial{'s' if numbers[1:] else ''} {', '.join(numbers)}{first}"


def _measured_on(evidence: Evidence) -> str:
    if not evidence.languages:
        return ""
    rows = "test rows" if evidence.retrain else "the rows that chose the trial"
    return f"{rows}, {evidence.num_seeds} seeds" if evidence.num_seeds > 1 else f"{rows}, one seed"


def _distance(degradation: Degradation, evidence: Evidence) -> str:
    """What the regression on distance says of the comparison of the verdict."""
    rows = degradation.over_all
    if not rows or degradation.intermediate != evidence.label:
        return ""
    changed = [row for row in rows if row.change and row.has_change]
    if changed:
        return f"distance: with {evidence.label} the gap grows {_parts(changed)}"
    kinds = [row.kind for row in rows if row.before and row.before.excludes_zero]
    if kinds:
        named = ", ".join(kinds)
        return f"distance: the gap depends on {named} distance, with and without {evidence.label}"
    return f"distance: no significant effect on the gap, over {degradation.num_languages} languages"


def _parts(rows: list[SlopeRow]) -> str:
    parts = []
    for row in rows:
        assert row.change is not None
        less = "less" if row.change.value < 0 else "more"
        change = points(row.change.value * row.span)
        parts.append(f"{less} with {row.kind} distance ({change} from {' to '.join(ends(row))})")
    return ", ".join(parts)
