"""Plans, verdicts, evaluations and comparisons on a terminal, and the verdict as JSON."""

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from search.display.number_format import between, duration, percent, points, spread
from search.planning.costs import Cost
from search.planning.plan import StudyPlan
from search.record.reader import BASELINE, WINNER
from search.report.sentences import AVERAGES, meaning, seen_rows
from search.trials.gains import averages, task_scores
from search.winner.verdict import Verdict
from search.winner.verdict_text import failures, gain_sentences, unregistered
from search.winner.winners_curse import WinnersCurse
from trainables.scoring.scores import TargetScores

if TYPE_CHECKING:  # they bring torch, which a plan need not wait for
    from search.planning.measure import Measurement
    from search.winner.evaluate import Evaluation
    from search.winner.submission import Submission

MAX_FIRST = 6  # plans that are named of those that come first


def show_plan(plan: StudyPlan, console: Console) -> None:
    """The stage tree, what comes first, errors and warnings."""
    console.print(f"study {plan.study}: {plan.num_trials} trials", highlight=False, markup=False)
    if plan.num_plans is None:
        console.print("the space is continuous: its plans cannot be counted", highlight=False)
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
    console.print(f"first: {first}", highlight=False, markup=False)
    for warning in plan.warnings:
        console.print(f"warning: {warning}", markup=False, highlight=False)
    for error in plan.errors:
        console.print(f"error: {error}", markup=False, highlight=False)


def _cost(cost: Cost) -> str:
    """All plans of the space, in one sentence."""
    scored = f"{cost.scored_sequences:,} in scoring"
    if cost.not_counted:
        scored += f" (without {', '.join(cost.not_counted)}, whose rows are not known beforehand)"
    disk = "unknown: the encoder is not here"
    if cost.disk_bytes is not None:
        disk = f"{cost.disk_bytes / 1e9:,.1f} GB for the phases"
    return (
        f"all plans, at most: {cost.trained_sequences:,} forward and backward passes of a sequence "
        f"in training, forward passes {cost.dev_sequences:,} in early stopping and {scored}; at "
        f"{cost.sequences_per_second:g} training sequences a second (assumed; "
        f"--sequences-per-second) {cost.gpu_hours:,.1f} hours of one GPU; disk: {disk}"
    )


def show_forecast(measured: "Measurement", console: Console) -> None:
    """What was measured, and how long all trials would take by it."""

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
        "rows, the start of Ray, what phases that stop early save"
    )
    say(
        f"{total.num_phases} phases, {total.num_phases - total.num_stages} of them shared with an "
        f"earlier trial: {duration(total.saved_seconds)} saved; disk "
        f"{total.disk_bytes / 1e9:,.2f} GB"
    )
    if total.gpu_hours is not None:
        say(f"GPU-hours: {total.gpu_hours:,.2f}")


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """The verdict as JSON values: test scores by target, role and language, the paired gain."""
    return {
        "study": verdict.study,
        "trial": verdict.trial,
        **verdict.summary(),
        "scores": {
            task: {
                role: verdict.by_language(role, task)
                for role in dict.fromkeys((WINNER, BASELINE, *verdict.roles))
            }
            for task in verdict.tasks
            if verdict.scores_of(WINNER) or verdict.scores_of(BASELINE)
        },
        "models": [{"name": m.name, "version": m.version, "uri": m.uri} for m in verdict.models],
        "unregistered": list(unregistered(verdict)),
        "champions": [decision.to_dict() for decision in verdict.decisions],
    }


def show_verdict(verdict: Verdict, console: Console) -> None:
    """Test scores of the winner beside its baseline's, the gains with their intervals, how many
    seeds failed, the models."""

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    found = verdict_json(verdict)
    for task, scores in found["scores"].items():
        table = Table(
            *("language", f"{WINNER} ± std", f"{BASELINE} ± std", "difference", "verdict"),
            title=Text(f"{task}, test split"),
            box=None,
        )
        winner, baseline = (verdict.intervals(role, task) for role in (WINNER, BASELINE))
        called = verdict.called(task)
        for language, value in scores[WINNER].items():
            against, cell = scores[BASELINE].get(language), called.get(language)
            difference = points(None if against is None else value - against)
            table.add_row(
                language,
                spread(winner[language]),
                spread(baseline.get(language)),
                between(cell) if cell else difference,
                cell["call"] if cell else "",
            )
        console.print(table)
    for sentence in failures(verdict):
        say(sentence)
    for task in (*verdict.tasks, None):
        for sentence in gain_sentences(verdict, task):
            say(sentence)
    for sentence in (*meaning(found["languages"]), *seen_rows(verdict.seen)):
        say(sentence)
    if verdict.curse is not None:
        say(curse_sentence(verdict.curse))
    for caution in verdict.cautions:
        say(f"warning: {caution}")
    for sentence in unregistered(verdict):
        say(sentence)
    for model in verdict.models:
        seed = f", of seed {model.tags['seed']}" if "seed" in model.tags else ""
        say(f"registered {model.name} version {model.version}{seed}")
    for decision in verdict.decisions:
        now = "is champion" if decision.is_champion else "is not made champion"
        say(f"{decision.name}: the new version {now}: {decision.reason}")


def curse_sentence(curse: WinnersCurse) -> str:
    """What gain was searched, predicted and found, in one sentence."""
    found = f"found over {curse.num_seeds} fresh seeds {points(curse.retrained)}"
    searched = f"gain over the best baseline in the search {points(curse.searched)}"
    if curse.low is None or curse.high is None:
        return f"{searched}, {found}; with one seed of each plan, what to expect is not known"
    expected = (
        f"expected {points(curse.predicted)} (95 % interval {points(curse.low)} to "
        f"{points(curse.high)})"
    )
    end = ": LESS than the search promised" if curse.falls_out else ""
    end = ": more than the search promised" if curse.exceeds else end
    return f"{searched}, {expected}, {found}{end}"


def show_evaluation(evaluation: "Evaluation", console: Console) -> None:
    """A table of every target, its task score and protocol; XTREME's averages; what was written."""

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    of_task = task_scores(evaluation.scores)
    say(f"study {evaluation.study}, trial {evaluation.trial} ({evaluation.name})")
    for target in evaluation.scores.targets:
        console.print(_metric_table(target, evaluation.split))
        mark = f"; {target.mark}" if target.mark else ""
        say(f"task score, mean over its languages: {percent(of_task[target.task])}{mark}")
        protocol = target.protocol
        cut = f", {protocol.cut}" if protocol.cut else ""
        num_rows = f", at most {protocol.rows} rows a language" if protocol.rows else ""
        say(f"rows {protocol.data}{cut}{num_rows}; chosen by {protocol.selection}")
    for name, value in averages(evaluation.scores).items():
        say(f"XTREME average, {AVERAGES[name]}: {percent(value)}")
    if evaluation.split == "validation":
        say("These are the rows that chose the trial: it looks better on them than it is.")
    for sentence in seen_rows(
        evaluation.seen, part="half of the" if evaluation.is_half_seen else "the"
    ):
        say(sentence)
    if evaluation.submission is not None:
        for line in _written(evaluation.submission):
            say(line)


def _metric_table(target: TargetScores, split: str) -> Table:
    """Languages, source first, by metric, the main one first; layers of retrieval are left to
    JSON."""
    names = {name: None for found in target.languages.values() for name in found}
    others = [name for name in names if name != target.main and ".layer_" not in name]
    table = Table("language", title=Text(f"{target.task}, {split} split"), box=None)
    for name in (target.main, *others, "rows"):
        table.add_column(name, justify="right")
    for language in target.by_language:
        found = target.languages[language]
        mark = "*" if language == target.source_language else ""
        values = [percent(found.get(name)) for name in (target.main, *others)]
        table.add_row(f"{language}{mark}", *values, str(target.num_rows[language]))
    return table


def _written(submission: "Submission") -> list[str]:
    lines = [f"wrote {submission.folder}: {len(submission.files)} files"]
    if submission.missing:
        lines.append(
            f"not in it, since the trial has no such target: {', '.join(submission.missing)}"
        )
    lines += [
        f"not in it, since there are no rows: {task} in {' '.join(codes)}"
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


def show_comparison(found: dict[str, Any], console: Console) -> None:
    """A table of the studies, and one of the targets; differences are from the first study."""
    studies = found["studies"]
    table = Table("", *(study["study"] for study in studies), box=None)
    shown = ("state", "selection", "num_trials", "baseline", "best")
    for name in shown:
        table.add_row(
            name.replace("num_", ""), *(Text(str(study[name] or "–")) for study in studies)
        )
    table.add_row("objective", *(percent(study["objective"]) for study in studies))
    for name in ("baseline_mean", "best_mean"):
        label = f"zero-shot mean, {name.removesuffix('_mean')}"
        table.add_row(label, *(percent(study[name]) for study in studies))
    table.add_row("gain", *(points(study["gain"]) for study in studies))
    if any(study["num_seeds"] > 1 or study["num_collapsed"] for study in studies):
        table.add_row("seeds", *(str(study["num_seeds"]) for study in studies))
        table.add_row("runs that collapsed", *(str(study["num_collapsed"]) for study in studies))
    console.print(table)
    table = Table("target", "study", "baseline", "best", "gain", "difference", "", box=None)
    for task, by_study in found["targets"].items():
        for place, (study, cell) in enumerate(by_study.items()):
            table.add_row(
                Text(task if place == 0 else ""),
                Text(study),
                percent(cell["baseline"]),
                percent(cell["best"]),
                points(cell["gain"]),
                points(cell["difference"]) if place else "",
                Text(f"mixed: {', '.join(cell['mixed'])}" if cell["mixed"] else "", style="yellow"),
            )
    console.print(table)
