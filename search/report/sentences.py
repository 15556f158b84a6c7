"""The findings of a study in short sentences, differences in percentage points. Pure."""

from collections.abc import Iterator, Mapping

from search.display.number_format import percent, points
from search.display.verdict_sentences import (
    MAX_NAMED,
    calls,
    meaning,
    over_seeds,
    seen_rows,
    without_collapsed,
)
from search.findings.findings import Findings, TrialFinding
from search.findings.study_summary import StudySummary
from search.record.reader import RetrainRole
from search.trials.gains import GainRow, GainTable
from search.trials.ranking import TrialState
from trainables.scoring.scores import Mark

AVERAGES: Mapping[str, str] = {
    "all": "all nine tasks",
    "without_retrieval": "without retrieval",
    "classification": "classification",
    "tagging": "tagging",
    "qa": "question answering",
    "retrieval": "retrieval",
}


def sentences(findings: Findings) -> list[str]:
    """The answer first, then the retrains, then what to be careful about."""
    return [*_answer(findings), *_retrained(findings), *_cautions(findings)]


def closing(findings: Findings) -> list[str]:
    """How the study ran: phases shared, overhead, averages of the best trial, what the objective
    depends on, warnings.

    Raises Refusal where the stored summary cannot be read.
    """
    phases, overhead = findings.phases, findings.overhead_seconds
    summary = StudySummary.read(findings.summary)
    lines = [
        f"Phases: {phases.trained} trained, {phases.used} used by scored trials, "
        f"{phases.reused} of these were reused from an earlier trial."
    ]
    if overhead is not None:
        lines.append(
            f"Overhead of a warm trial, neither training nor evaluation: {overhead:.2f} s (median)."
        )
    for name, value in findings.best.averages.items() if findings.best else ():
        lines.append(f"XTREME average of the best trial, {AVERAGES[name]}: {percent(value)}.")
    for objective, importance in summary.importance_by_objective.items():
        order = sorted(importance.items(), key=lambda item: -item[1])
        shares = ", ".join(f"{name} {share:.2f}" for name, share in order)
        whose = f"{objective}'s" if objective == "the objective" else objective
        lines += [f"Share of {whose} variation by param: {shares}."] if shares else []
    lines += [f"Warning before the search: {warning}." for warning in findings.warnings]
    return [*lines, *_exhausted(summary)]


def _exhausted(summary: StudySummary) -> Iterator[str]:
    if summary.ran_out_of == "space":
        yield "The space is exhausted: every plan in it was tried."
    elif summary.ran_out_of == "sampler":
        yield "The sampler proposes nothing new: 20 times in a row it drew a plan that was tried."


def _answer(findings: Findings) -> Iterator[str]:
    best, baseline = findings.best, findings.baseline
    if best is None:
        yield f"No trial is scored yet; the study is {findings.state}."
        return
    if baseline is None:
        yield "No baseline is scored, so the report cannot say whether intermediate training helps."
        return
    if best.collapsed:
        yield "Every scored trial collapsed: nothing is learned at these learning rates."
        return
    level = percent(findings.baseline_mean)
    name = f"trial {baseline.number}, {level} %"
    if best.intermediate is None and findings.objectives:
        yield f"The best trial in {findings.objectives[0]}, the first objective, is a baseline."
        return
    if best.intermediate is None:
        allowed = " that may win" if any(t.is_feasible is False for t in findings.trials) else ""
        yield f"No intermediate training{allowed} beats the best baseline ({name})."
        if findings.gain and not allowed:
            short = points(findings.gain.mean)
            yield f"The best trial with intermediate training differs from it by {short} points."
        yield from _spoilers(findings)
        return
    gain = findings.gain
    assert gain is not None, "the best trial has an intermediate phase, and there is a baseline"
    verb = "lifts" if gain.mean >= 0 else "lowers"
    num = gain.num_first
    seeds = f", in the mean of {num} seeds{over_seeds(gain)}" if num > 1 else ""
    yield (
        f"Intermediate training on {best.label} {verb} the zero-shot mean by "
        f"{points(gain.mean)} points over the best baseline ({name}), to "
        f"{percent(findings.best_mean)} % (trial {best.number}){seeds}."
    )
    yield from without_collapsed(gain)
    yield from _pairs(findings, best)
    yield from _spoilers(findings)
    yield from _selected(findings)
    yield _losers(findings)


def _pairs(findings: Findings, best: TrialFinding) -> Iterator[str]:
    """All trials on this intermediate, each beside the baseline with the same target phases."""
    group = next(g for g in findings.intermediates if g.intermediate == best.intermediate)
    gains = group.paired_gains
    if len(gains) > 1:
        above = sum(gain > 0 for gain in gains)
        spoilt = group.num_spoilt_pairs
        collapsed = f"; in {spoilt} of them a target collapsed on a side" if spoilt else ""
        low, high = points(min(gains)), points(max(gains))
        yield (
            f"Against the baseline with the same target phases, {above} of {len(gains)} trials on "
            f"{best.label} gain, from {low} to {high} points{collapsed}."
        )


def _spoilers(findings: Findings) -> Iterator[str]:
    """Targets that collapse more often after an intermediate task than without one."""
    groups = {group.intermediate: group for group in findings.intermediates}
    without = groups.get(None)
    for name, group in groups.items():
        for task, num in group.collapsed.items() if name is not None else ():
            before = without.collapsed.get(task, 0) if without else 0
            num_without = without.num_trials if without else 0
            if not num_without or num * num_without > before * group.num_trials:
                beside = f", without intermediate training in {before} of {num_without}"
                beside = beside if num_without else ""
                yield (
                    f"After {group.label}, {task} collapsed in {num} of {group.num_trials} "
                    f"trials{beside}."
                )


def _selected(findings: Findings) -> Iterator[str]:
    """The best trial's verdicts by language, and what they mean."""
    cells = findings.verdicts
    if cells:
        num = max(cell.num_seeds for cell in cells)
        seeds = "and with one seed" if num == 1 else f"and over {num} seeds"
        yield f"By language, on the rows that chose the trial {seeds}: {calls(cells)}."
        yield from meaning(cells)


def _losers(findings: Findings) -> str:
    cells = [
        (cell.difference, f"{cell.task} {cell.language} {points(cell.difference)}")
        for cell in findings.languages
        if not cell.is_source and cell.difference is not None
    ]
    lost = sorted((cell for cell in cells if cell[0] < 0), key=lambda cell: cell[0])
    if not lost:
        return f"No language loses (of {len(cells)} scores in zero-shot languages)."
    named = [name for _, name in lost[:MAX_NAMED]]
    more = f" and {len(lost) - MAX_NAMED} more" if len(lost) > MAX_NAMED else ""
    return f"Languages that lose: {', '.join(named)}{more} (of {len(cells)} scores)."


def _retrained(findings: Findings) -> Iterator[str]:
    for retrain in findings.retrains:
        gain = retrain.gain
        if gain is None:
            continue
        seeds = f"{gain.num_first} fresh seed{'s' if gain.num_first > 1 else ''}"
        yield (
            f"Retrained as {retrain.name!r} with {seeds} on the test split: "
            f"{points(gain.mean)} points over its baseline{over_seeds(gain)}."
        )
        yield from without_collapsed(gain)
        yield from failed(retrain.num_failed)
        if twin := retrain.gain_over_twin:
            yield (
                f"Against the same target phases without the intermediate phase, the gain is "
                f"{points(twin.mean)} points{over_seeds(twin)}."
            )
            yield from without_collapsed(twin)
        if retrain.languages:
            yield f"By language, on test rows with {seeds}: {calls(retrain.languages)}."
            yield from meaning(retrain.languages)


def collapsed_seeds(row: GainRow, task: str) -> str:
    """`2 of 3 collapsed`: the seeds of a row of the table of gains, on one target; empty where none
    did."""
    return _num_collapsed(row.collapsed.get(task), row.num_seeds)


def collapsed_baselines(gains: GainTable, task: str) -> str:
    """The same for the baseline of the table of gains."""
    return _num_collapsed(gains.baseline_collapsed.get(task), gains.baseline_seeds)


def _num_collapsed(num: int | None, num_seeds: int) -> str:
    return f"{num} of {num_seeds} collapsed" if num else ""


def failed(num_failed: Mapping[RetrainRole, int]) -> Iterator[str]:
    """How many seeds diverged, by role: no mean includes them."""
    named = [f"{num} of its {role}'s" for role, num in num_failed.items() if num]
    if named:
        yield f"These seeds diverged and have no score: {', '.join(named)}."


def _truncated(findings: Findings) -> Iterator[str]:
    """Rows that lost tokens to `max_length`: how many of each task, and the language that lost the
    largest share."""
    by_task: dict[str, list[tuple[str, int, int]]] = {}  # (language, cut rows, rows)
    for cell in findings.languages:
        if cell.num_rows:
            cut = (cell.language, cell.num_truncated, cell.num_rows)
            by_task.setdefault(cell.task, []).append(cut)
    for task, cells in by_task.items():
        num_cut = sum(num for _, num, _ in cells)
        if not num_cut:
            continue
        language, num_worst, of_worst = max(cells, key=lambda cell: cell[1] / cell[2])
        yield (
            f"Cut to max_length ({findings.protocol[task].max_length} tokens): {num_cut} of the "
            f"{sum(num for _, _, num in cells)} scored rows of {task}, most in "
            f"{language} ({num_worst} of {of_worst})."
        )


def _no_signal(findings: Findings) -> Iterator[str]:
    """Targets at chance in the source language, or collapsed, in every trial: their differences are
    noise."""
    scored = [t for t in findings.trials if t.state is TrialState.SCORED and t.scores]
    tasks = dict.fromkeys(task for trial in scored for task in trial.scores)
    marks = {task: {t.marks.get(task) for t in scored} for task in tasks}
    silent = [task for task in tasks if marks[task] == {Mark.NO_SIGNAL}]
    if silent:
        yield (
            f"No signal in {', '.join(silent)}: every trial is at chance there, so differences "
            "are noise."
        )
    lost = [t for t in tasks if t not in silent and marks[t] <= {Mark.NO_SIGNAL, Mark.COLLAPSED}]
    if lost:
        yield (
            f"No trial learned {', '.join(lost)}: each collapsed or stayed at chance, so "
            "differences there are noise."
        )


def _cautions(findings: Findings) -> Iterator[str]:
    selection = findings.selection
    if findings.best is not None and findings.state == "finished" and not findings.retrains:
        num = len(findings.ranked)
        yield (
            f"This score is optimistic: the same rows chose the best of {num} trials. Run "
            "`retrain` to measure it on test rows with fresh seeds."
        )
    for other in selection.other_rules:
        if findings.best is not None and other.number == findings.best.number:
            yield f"The rule {other.rule} would choose the same trial."
        elif findings.best is not None:
            lead = (other.zero_shot_mean or 0.0) - (findings.best_mean or 0.0)
            yield (
                f"The rule {other.rule} would choose trial {other.number} ({other.name}) "
                f"instead, with a zero-shot mean of {percent(other.zero_shot_mean)} % "
                f"({points(lead)} points)."
            )
    if selection.left_out:
        yield (
            f"The rule {selection.rule} finds no rows in {', '.join(selection.left_out)}; "
            "these targets do not affect the selection."
        )
    yield from seen_rows(selection.seen_test_rows)
    unscored: dict[str, list[str]] = {}
    for task, languages in findings.unscored_languages.items():
        unscored.setdefault(", ".join(languages), []).append(task)
    for names, tasks in unscored.items():
        yield f"The rule {selection.rule} finds no rows in {names} (for {', '.join(tasks)})."
    yield from _no_signal(findings)
    yield from _truncated(findings)
    rates = [
        f"{rate.rate:g} ({role}): {rate.collapsed:.0%} of {rate.num}"
        for role, group in findings.learning_rates.items()
        for rate in group
        if rate.collapsed
    ]
    if rates:
        yield (
            f"Share of runs that collapsed, by learning rate: {'; '.join(rates)}. They count in "
            "every mean with their true scores."
        )
    if halved := findings.half_rates:
        named = ", ".join(f"trial {trial.number} ({', '.join(trial.phases)})" for trial in halved)
        yield f"These phases diverged and were trained again at half the planned rate: {named}."
    if flat := findings.flat_intermediates:
        named = ", ".join(f"{phase.label} at {phase.learning_rate:g}" for phase in flat)
        yield f"The loss of these intermediate phases did not fall; they taught nothing: {named}."
    for task, different in findings.protocol_differences.items():
        yield f"Scores on {task} are not comparable between trials: {', '.join(different)} differ."
