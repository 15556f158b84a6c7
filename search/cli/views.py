"""Plans, forecasts, verdicts, evaluations and comparisons on a terminal."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from search.display.number_format import between, duration, percent, points, spread
from search.display.verdict_sentences import meaning, seen_rows
from search.planning.costs import Cost
from search.planning.plan import StudyPlan
from search.record.reader import BASELINE, WINNER
from search.report.comparison import Comparison
from search.report.sentences import AVERAGES
from search.trials.gains import averages, task_scores
from search.winner.verdict import Verdict
from search.winner.verdict_text import failures, gain_sentences, unregistered
from search.winner.winners_curse import WinnersCurse
from trainables.scoring.scores import TargetScores

if TYPE_CHECKING:  # they bring torch, which a plan need not wait for
    from search.planning.measure import Measurement
    from search.winner.evaluate import Evaluation
    from trainables.exporting.submission_draft import Submission

MAX_FIRST = 6  # of the plans that are tried first: more are counted, not named


def show_plan(plan: StudyPlan, console: Console) -> None:
    """The tree of stages, the cost, the plans that are tried first, the errors and the warnings."""
    console.print(f"study {plan.study}: {plan.num_trials} trials", highlight=False, markup=False)
    if plan.num_plans is None:
        console.print("the space is continuous, so its plans cannot be counted", highlight=False)
    else:
        assert plan.examples is not None
        assert plan.examples_without_tree is not None
        console.print(
            f"the space has {plan.num_plans} plans: {plan.num_phases} phases, of which "
            f"{plan.num_stages} are distinct stages and trained once; "
            f"{plan.examples:,} examples instead of {plan.examples_without_tree:,}",
            highlight=False,
        )
        table = Table("intermediate stage", "target stages from it", box=None)
        for name, count in plan.stages:
            table.add_row(Text(name), str(count))
        console.print(table)
    if plan.cost is not None:
        console.print(_cost(plan.cost), highlight=False, markup=False, soft_wrap=True)
    first = "; ".join(str(point) for point in plan.first[:MAX_FIRST])
    more = len(plan.first) - MAX_FIRST
    first += f"; and {more} more" if more > 0 else ""
    console.print(f"tried first: {first}", highlight=False, markup=False)
    for warning in plan.warnings:
        console.print(f"warning: {warning}", markup=False, highlight=False)
    for error in plan.errors:
        console.print(f"error: {error}", markup=False, highlight=False)


def _cost(cost: Cost) -> str:
    """The cost of all plans of the space, in one sentence."""
    scored = f"{cost.scored_sequences:,} in scoring"
    if cost.not_counted:
        scored += f" (without {', '.join(cost.not_counted)}, whose rows are not known in advance)"
    disk = "unknown, since the size of the encoder is"
    if cost.disk_bytes is not None:
        disk = f"{cost.disk_bytes / 1e9:,.1f} GB for the phases"
    return (
        f"cost of all plans, at most: {cost.trained_sequences:,} sequences in training (forward "
        f"and backward pass), {cost.dev_sequences:,} in early stopping and {scored} (forward "
        "pass only); "
        f"{cost.gpu_hours:,.1f} hours of one GPU at {cost.sequences_per_second:g} training "
        f"sequences a second (an assumption, set by --sequences-per-second); disk: {disk}"
    )


def show_forecast(measured: "Measurement", console: Console) -> None:
    """What was measured, and the forecast of all trials from it."""

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    table = Table("measured stage", "steps", "seconds a step (range)", "a stage", box=None)
    for stage in measured.stages:
        each = f"{stage.step_seconds:.3f} ({stage.low:.3f} to {stage.high:.3f})"
        whole = f"{stage.stage_seconds:.1f} s"
        table.add_row(Text(stage.kind), str(stage.num_steps), each, whole)
    console.print(table)
    scored = ", ".join(f"{task} {value:.1f} s" for task, value in measured.evaluation.items())
    say(f"scoring a trial takes: {scored}")
    total = measured.forecast
    say(
        f"{total.num_trials} trials, {total.max_concurrent_trials} at a time: about "
        f"{duration(total.seconds)} ({duration(total.low)} to {duration(total.high)}); "
        f"{duration(total.training_seconds)} of training and "
        f"{duration(total.evaluation_seconds)} of scoring; not counted: reading and tokenising "
        "rows, the start of Ray, and the time saved by phases that stop early"
    )
    say(
        f"{total.num_phases} phases, {total.num_phases - total.num_stages} of them shared with an "
        f"earlier trial: {duration(total.saved_seconds)} saved; disk "
        f"{total.disk_bytes / 1e9:,.2f} GB"
    )
    if total.gpu_hours is not None:
        say(f"GPU-hours: {total.gpu_hours:,.2f}")


def show_verdict(verdict: Verdict, console: Console) -> None:
    """Test scores of the winner beside its baseline's, the gains with their intervals, how many
    seeds failed, the models."""

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    for task in verdict.scored_tasks:
        console.print(_score_table(verdict, task))
    for sentence in failures(verdict):
        say(sentence)
    for task_or_all in (*verdict.tasks, None):
        for sentence in gain_sentences(verdict, task_or_all):
            say(sentence)
    for sentence in (*meaning(verdict.languages), *seen_rows(verdict.seen)):
        say(sentence)
    if verdict.curse is not None:
        say(curse_sentence(verdict.curse))
    for caution in verdict.cautions:
        say(f"warning: {caution}")
    for sentence in unregistered(verdict):
        say(sentence)
    for model in verdict.models:
        seed = f", trained with seed {model.tags['seed']}" if "seed" in model.tags else ""
        say(f"registered {model.name} version {model.version}{seed}")
    for decision in verdict.decisions:
        now = "is now the champion" if decision.is_champion else "does not become the champion"
        say(f"{decision.name}: the new version {now}: {decision.reason}")


def _score_table(verdict: Verdict, task: str) -> Table:
    """One row for each language of a target: both sides, their difference, and the verdict."""
    table = Table(
        *("language", f"{WINNER} ± std", f"{BASELINE} ± std", "difference", "verdict"),
        title=Text(f"{task}, test split"),
        box=None,
    )
    winner, baseline = (verdict.intervals(role, task) for role in (WINNER, BASELINE))
    called = verdict.called(task)
    for language, interval in winner.items():
        other, judged = baseline.get(language), called.get(language)
        difference = points(None if other is None else interval.mean - other.mean)
        table.add_row(
            language,
            spread(interval),
            spread(other),
            between(judged.difference) if judged else difference,
            judged.call.value if judged else "",
        )
    return table


def curse_sentence(curse: WinnersCurse) -> str:
    """The gain over the best baseline in the search, as expected and over fresh seeds, in one
    sentence."""
    searched = f"gain over the best baseline: {points(curse.searched)} in the search"
    retrained = f"{points(curse.retrained)} over {curse.num_seeds} fresh seeds"
    if curse.low is None or curse.high is None:
        return (
            f"{searched}, {retrained}; the expected gain is not known, because every plan has only "
            "one seed"
        )
    expected = (
        f"{points(curse.predicted)} expected (95 % interval {points(curse.low)} to "
        f"{points(curse.high)})"
    )
    end = ": LESS than the search promised" if curse.falls_out else ""
    end = ": more than the search promised" if curse.exceeds else end
    return f"{searched}, {expected}, {retrained}{end}"


def show_evaluation(evaluation: "Evaluation", console: Console) -> None:
    """A table of every target, its task score and protocol; XTREME's averages; what was written."""

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    of_task = task_scores(evaluation.scores)
    say(f"study {evaluation.study}, trial {evaluation.trial} ({evaluation.name})")
    for target in evaluation.scores.targets:
        console.print(_metric_table(target, evaluation.split))
        mark = f"; {target.mark}" if target.mark else ""
        say(f"task score (mean over its languages): {percent(of_task[target.task])}{mark}")
        protocol = target.protocol
        cut = f", {protocol.cut}" if protocol.cut else ""
        num_rows = f", at most {protocol.rows} rows in each language" if protocol.rows else ""
        say(f"rows {protocol.data}{cut}{num_rows}; selection rule {protocol.selection}")
    for name, value in averages(evaluation.scores).items():
        say(f"XTREME average, {AVERAGES[name]}: {percent(value)}")
    if evaluation.split == "validation":
        say("These rows also chose the trial, so its scores on them are too high.")
    for sentence in seen_rows(
        evaluation.seen, part="half of the" if evaluation.is_half_seen else "the"
    ):
        say(sentence)
    if evaluation.submission is not None:
        for line in _written(evaluation.submission):
            say(line)


def _metric_table(target: TargetScores, split: str) -> Table:
    """Languages by metric, the source language and the main metric first; the layers of retrieval
    are only in the JSON."""
    names = {name: None for metrics in target.languages.values() for name in metrics}
    others = [name for name in names if name != target.main and ".layer_" not in name]
    table = Table("language", title=Text(f"{target.task}, {split} split"), box=None)
    for name in (target.main, *others, "rows"):
        table.add_column(name, justify="right")
    for language in target.by_language:
        metrics = target.languages[language]
        mark = "*" if language == target.source_language else ""
        values = [percent(metrics.get(name)) for name in (target.main, *others)]
        table.add_row(f"{language}{mark}", *values, str(target.num_rows[language]))
    return table


def _written(submission: "Submission") -> list[str]:
    lines = [f"wrote {submission.folder}: {len(submission.files)} files"]
    if submission.missing:
        lines.append(
            f"left out, because the trial has no such target: {', '.join(submission.missing)}"
        )
    lines += [
        f"left out, because there are no rows: {task} in {' '.join(codes)}"
        for task, codes in submission.missing_languages.items()
    ]
    lines += [
        f"answers the rows of XTREME's own files: {task} in {' '.join(codes)}; these have no "
        "labels, so that the scores above are those of the other rows"
        for task, codes in submission.own_rows.items()
    ]
    lines += [
        f"XTREME's own rows are not those of the scores: {task} in {' '.join(codes)}"
        for task, codes in submission.unlike_hub.items()
    ]
    for codes, what in (
        (submission.other_sentences, "holds sentences of older stages of the language"),
        (submission.split_words, "splits contracted words, which XTREME fuses,"),
    ):
        if codes:
            lines.append(
                f"not as XTREME's rows: the hub's udpos {what} in {' '.join(codes)}, perhaps in "
                "others: XTREME's scorer does not accept these files; answer its own rows with "
                "--xtreme-rows DOWNLOAD"
            )
    return lines


def show_comparison(comparison: Comparison, console: Console) -> None:
    """A table of the studies, and one of the targets; differences are from the first study."""
    studies = comparison.studies
    table = Table("", *(study.study for study in studies), box=None)
    shown = ("state", "selection", "num_trials", "baseline", "best")
    for name in shown:
        table.add_row(
            name.replace("num_", ""), *(Text(str(getattr(study, name) or "–")) for study in studies)
        )
    table.add_row("objective", *(percent(study.objective) for study in studies))
    for name in ("baseline_mean", "best_mean"):
        label = f"zero-shot mean, {name.removesuffix('_mean')}"
        table.add_row(label, *(percent(getattr(study, name)) for study in studies))
    table.add_row("gain", *(points(study.gain) for study in studies))
    if any(study.num_seeds > 1 or study.num_collapsed for study in studies):
        table.add_row("seeds", *(str(study.num_seeds) for study in studies))
        table.add_row("runs that collapsed", *(str(study.num_collapsed) for study in studies))
    console.print(table)
    table = Table("target", "study", "baseline", "best", "gain", "difference", "", box=None)
    for task, by_study in comparison.targets.items():
        for index, (name, cell) in enumerate(by_study.items()):
            table.add_row(
                Text(task if index == 0 else ""),
                Text(name),
                percent(cell.baseline),
                percent(cell.best),
                points(cell.gain),
                points(cell.difference) if index else "",
                Text(f"mixed: {', '.join(cell.mixed)}" if cell.mixed else "", style="yellow"),
            )
    console.print(table)
