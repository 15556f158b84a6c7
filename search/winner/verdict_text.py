"""A verdict in words: the sentences that a terminal and a model's card share. Pure."""

from collections.abc import Iterator

from search.display.number_format import between, percent, points, spread
from search.record.reader import BASELINE, TWIN, WINNER
from search.report.sentences import meaning, over_seeds, seen_rows, without_collapsed
from search.stats.intervals import mean_interval
from search.trials.gains import SeedGain
from search.winner.verdict import RetrainedSeed, Verdict
from spaces.task_catalog import get_task


def card(verdict: Verdict, task: str) -> str:
    """The card of the model of one target that is registered: what it is, its own scores, and what
    the same training gets over all seeds, beside the baseline's."""
    run = verdict.chosen(task)
    assert run is not None
    num, stem = len(verdict.of_role(WINNER)), run.plan.intermediate
    lines = [
        f"# {verdict.study}-{task}",
        "",
        f"Task `{task}`, trained in {get_task(task).source_language}; intermediate training: "
        f"{stem.mixture if stem else 'none'}. Trial {verdict.trial} of study `{verdict.study}`, "
        f"trained again with {seeds(num)}.",
        "",
        this_model(verdict, run, task),
        "",
        "Test split, main metric; over the seeds means with their standard deviation:",
        "",
        "| language | this model | winner | baseline | difference, 95 % interval | verdict |",
        "|---|---|---|---|---|---|",
        *_rows(verdict, run, task),
    ]
    lines += [f"\n{sentence}" for sentence in failures(verdict, task)]
    lines += [f"\n{sentence}" for sentence in gain_sentences(verdict, task)]
    lines += [f"\n{sentence}" for sentence in meaning(list(verdict.called(task).values()))]
    seen = {task: verdict.seen[task]} if task in verdict.seen else {}
    lines += [f"\n{sentence}" for sentence in seen_rows(seen)]
    return "\n".join([*lines, ""])


def seeds(num: int) -> str:
    """`1 fresh seed`, `5 fresh seeds`."""
    return f"{num} fresh seed{'s' if num != 1 else ''}"


def this_model(verdict: Verdict, run: RetrainedSeed, task: str) -> str:
    """Which seed's model it is, why that one, and what it gets itself beside all seeds."""
    found, value = run.of(task), verdict.validation_of(run, task)
    assert found is not None
    why = f"the best one on validation rows ({percent(value)}, by {verdict.rule})"
    if value is None:
        why = f"the first one, since the rule {verdict.rule} lets no validation row of it choose"
    means = [one.zero_shot_mean for r in verdict.of_role(WINNER) if (one := r.of(task)) is not None]
    return (
        f"This model is that of seed {run.seed}, {why}, among the seeds that learned the target: "
        "test rows must not choose. Zero-shot mean on test rows: "
        f"{percent(found.zero_shot_mean)}; the procedure gets {spread(mean_interval(means))} over "
        f"{seeds(len(means))}."
    )


def failures(verdict: Verdict, task: str | None = None) -> Iterator[str]:
    """How many seeds of each role diverged, and of which targets (or of this one) they collapsed;
    nothing where none did."""
    for role in verdict.roles:
        num = len(verdict.of_role(role))
        parts = [
            f"{collapsed} of {num} seeds collapsed on {one}"
            for one in ([task] if task else verdict.tasks)
            if (collapsed := verdict.num_collapsed(role, one))
        ]
        if diverged := verdict.num_diverged(role):
            parts.append(f"{diverged} of {num} seeds diverged, and are in no mean")
        if parts:
            yield f"Of the {role}, {'; '.join(parts)}."


def gain_sentences(verdict: Verdict, task: str | None = None) -> Iterator[str]:
    """The gain over the baseline, and over the twin where there is one, of one target or of all
    objective targets, each with what it is without the seeds that collapsed."""
    name = task or "all objective targets"
    for over, what in (
        (BASELINE, "Gain over the baseline"),
        (
            TWIN,
            "Gain over the twin, the same target phases without the intermediate one",
        ),
    ):
        if (gain := verdict.gain(task, over=over)) is not None:
            mean = f"{points(gain.mean)}{over_seeds(gain)}"
            yield f"{what}, zero-shot mean of {name}, {_num_seeds(gain)}: {mean}."
            yield from without_collapsed(gain)


def unregistered(verdict: Verdict) -> Iterator[str]:
    """One sentence for each target that no seed learned: there is no model of it."""
    num, diverged = len(verdict.of_role(WINNER)), verdict.num_diverged(WINNER)
    for task in verdict.tasks:
        if verdict.chosen(task) is None:
            yield (
                f"No model of {task} is registered: of {seeds(num)} of trial {verdict.trial}, "
                f"{num - diverged} collapsed on it and {diverged} diverged."
            )


def _rows(verdict: Verdict, run: RetrainedSeed, task: str) -> Iterator[str]:
    own, called = run.of(task), verdict.called(task)
    assert own is not None
    columns = [verdict.intervals(role, task) for role in (WINNER, BASELINE)]
    for language, value in columns[0].items():
        cell = called.get(language)
        told = [between(cell.mean, cell.low, cell.high), cell.call.value] if cell else ["", ""]
        both = [spread(value), spread(columns[1].get(language))]
        yield f"| {' | '.join([language, percent(own.by_language[language]), *both, *told])} |"


def _num_seeds(gain: SeedGain) -> str:
    if gain.is_paired:
        return f"{gain.num_first} seed{'s' if gain.num_first != 1 else ''}"
    return f"{gain.num_first} and {gain.num_second} seeds"
