"""The comparison that the verdict on a study rests on: its last retrain, else the search. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from search.degradation.paired_scores import RetrainFinding
from search.findings.findings import Findings
from search.trials.gains import SeedGain
from search.trials.language_verdicts import Call, LanguageVerdict


class Standing(StrEnum):
    """How far the evidence of a study goes. The first four have no gain."""

    NOTHING_SCORED = "nothing is scored"
    NOTHING_LEARNED = "every scored trial collapsed"
    NO_BASELINE = "no baseline is scored"
    ONLY_BASELINES = "only baselines are scored"
    UNTESTED = "a gain in the search, without an interval"
    NOT_SIGNIFICANT = "a gain in the search, not significant"
    SIGNIFICANT = "a gain in the search, significant"
    NO_GAIN = "no gain in the search"
    CONFIRMED = "a gain of fresh seeds, significant"
    NOT_CONFIRMED = "fresh seeds show no significant difference"
    REFUTED = "a loss of fresh seeds, significant"


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageGain:
    """One target in one zero-shot language: the difference from the baseline, in [-1, 1], with its
    95 % interval and verdict where it was tested."""

    task: str
    language: str
    mean: float
    low: float | None = None
    high: float | None = None
    call: Call | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The gain of a plan with an intermediate phase (`label`) over the best baseline, and the gains
    by language of the same comparison. `retrain` is None where it is the search's."""

    standing: Standing
    label: str = ""
    gain: SeedGain | None = None
    retrain: RetrainFinding | None = None
    languages: tuple[LanguageGain, ...] = ()

    @property
    def num_seeds(self) -> int:
        """The seeds of the side that has fewer of them; 0 without a gain."""
        return min(self.gain.num_first, self.gain.num_second) if self.gain else 0

    @classmethod
    def of(cls, findings: Findings) -> "Evidence":
        """The last retrain over all objective targets, since its seeds are fresh and its rows those
        of the test split; else the best plan with an intermediate phase in the search."""
        retrain = deciding_retrain(findings)
        if retrain is not None and retrain.gain is not None:
            return cls(
                standing=_after_retrain(retrain.gain),
                label=retrain.label or "",
                gain=retrain.gain,
                retrain=retrain,
                languages=_retrained_gains(findings, retrain),
            )
        standing = _in_search(findings)
        if findings.gain is None or standing in WITHOUT_GAIN:
            return cls(standing=standing)
        tried = next(trial for trial in findings.ranked_trials if trial.intermediate is not None)
        return cls(
            standing=standing,
            label=tried.label,
            gain=findings.gain,
            languages=_searched_gains(findings),
        )


WITHOUT_GAIN = (
    Standing.NOTHING_SCORED,
    Standing.NOTHING_LEARNED,
    Standing.NO_BASELINE,
    Standing.ONLY_BASELINES,
)


def deciding_retrain(findings: Findings) -> RetrainFinding | None:
    """The last retrain of a plan with an intermediate phase that scored all objective targets."""
    wanted = set(findings.objective_targets)
    whole = [r for r in findings.retrains if r.gain and r.label and set(r.targets) == wanted]
    return whole[-1] if whole else None


def _after_retrain(gain: SeedGain) -> Standing:
    if not gain.excludes_zero:
        return Standing.NOT_CONFIRMED
    return Standing.CONFIRMED if gain.mean > 0 else Standing.REFUTED


def _in_search(findings: Findings) -> Standing:
    best, gain = findings.best, findings.gain
    if best is None:
        return Standing.NOTHING_SCORED
    if best.collapsed:
        return Standing.NOTHING_LEARNED
    if findings.baseline is None:
        return Standing.NO_BASELINE
    if gain is None:
        return Standing.ONLY_BASELINES
    if best.intermediate is None or gain.mean <= 0:
        return Standing.NO_GAIN
    if gain.low is None:
        return Standing.UNTESTED
    return Standing.SIGNIFICANT if gain.excludes_zero else Standing.NOT_SIGNIFICANT


def _retrained_gains(findings: Findings, retrain: RetrainFinding) -> tuple[LanguageGain, ...]:
    """The verdicts of the retrain; older records without them have gains all the same."""
    if retrain.languages:
        return _tested(retrain.languages, _sources(findings))
    is_measured = findings.degradation.measured_on == f"retrain {retrain.name!r}"
    return _measured(findings) if is_measured else ()


def _searched_gains(findings: Findings) -> tuple[LanguageGain, ...]:
    """The verdicts on the best trial; where there are none, the differences alone."""
    if findings.verdicts:
        return _tested(findings.verdicts, _sources(findings))
    differences = tuple(
        LanguageGain(task=cell.task, language=cell.language, mean=cell.difference)
        for cell in findings.languages
        if cell.difference is not None and not cell.is_source
    )
    is_measured = (findings.degradation.measured_on or "").startswith("trial")
    return differences or (_measured(findings) if is_measured else ())


def _measured(findings: Findings) -> tuple[LanguageGain, ...]:
    return tuple(
        LanguageGain(task=cell.task, language=cell.language, mean=cell.gain)
        for cell in findings.degradation.languages
        if cell.gain is not None
    )


def _sources(findings: Findings) -> set[tuple[str, str]]:
    return set(findings.best.source_languages.items()) if findings.best else set()


def _tested(
    cells: Sequence[LanguageVerdict], sources: set[tuple[str, str]]
) -> tuple[LanguageGain, ...]:
    return tuple(
        LanguageGain(
            task=cell.task,
            language=cell.language,
            mean=cell.mean,
            low=cell.low,
            high=cell.high,
            call=cell.call,
        )
        for cell in cells
        if (cell.task, cell.language) not in sources
    )
