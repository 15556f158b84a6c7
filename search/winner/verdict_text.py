"""A verdict in words: the sentences that a terminal and a model's card share. Pure."""

from collections.abc import Iterator

from search.display.number_format import between, percent, points, spread
from search.display.verdict_sentences import meaning, over_seeds, seen_rows, without_collapsed
from search.record.reader import BASELINE, TWIN, WINNER
from search.stats.intervals import mean_interval
from search.trials.gains import SeedGain
from search.winner.verdict import RetrainedSeed, Verdict


def card(verdict: Verdict, task: str) -> str:
    """The card of a target's registered model: what it is, its own scores, and the scores of the
    same training over all seeds, beside those of the baseline."""
    run = verdict.chosen(task)
    assert run is not None
    num, intermediate = len(verdict.of_role(WINNER)), run.plan.intermediate
    source_language = run.plan.target(task).task.source_language
    lines = [
        f"# {verdict.study}-{task}",
        "",
        f"Task `{task}`, trained in {source_language}; intermediate training: "
        f"{intermediate.mixture if intermediate else 'none'}. This is trial {verdict.trial} of "
        f"study `{verdict.study}`, trained again with {seeds(num)}.",
        "",
        this_model(verdict, run, task),
        "",
        "Main metric on the test split. Winner and baseline: mean ± standard deviation over the "
        "seeds.",
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
    """The seed of the model, why it was chosen, and its score beside that of all seeds."""
    scores, validation = run.of(task), verdict.validation_of(run, task)
    assert scores is not None
    why = f"the best on validation rows ({percent(validation)}, selection {verdict.rule})"
    if validation is None:
        why = f"the first, because selection {verdict.rule} lets no validation row of it choose"
    of_seeds = [seed.of(task) for seed in verdict.of_role(WINNER)]
    means = [target.zero_shot_mean for target in of_seeds if target is not None]
    return (
        f"This model was trained with seed {run.seed}: {why}, among the seeds that learned the "
        "target. Test rows do not choose the seed. Its zero-shot mean on test rows is "
        f"{percent(scores.zero_shot_mean)}; the mean over {seeds(len(means))} is "
        f"{spread(mean_interval(means))}."
    )


def failures(verdict: Verdict, task: str | None = None) -> Iterator[str]:
    """How many seeds of each role diverged, and on which targets (or on this one) seeds collapsed;
    nothing for a role without either."""
    for role in verdict.roles:
        num = len(verdict.of_role(role))
        parts = [
            f"{collapsed} of {num} seeds collapsed on {target}"
            for target in ([task] if task else verdict.tasks)
            if (collapsed := verdict.num_collapsed(role, target))
        ]
        if diverged := verdict.num_diverged(role):
            parts.append(f"{diverged} of {num} seeds diverged and are in no mean")
        if parts:
            yield f"Failures of the {role}: {'; '.join(parts)}."


def gain_sentences(verdict: Verdict, task: str | None = None) -> Iterator[str]:
    """The gain over the baseline and, if there is one, over the twin, for one target or for all
    objective targets; each gain also without the seeds that collapsed."""
    name = task or "all objective targets"
    for over, what in (
        (BASELINE, "Gain over the baseline"),
        (
            TWIN,
            "Gain over the twin (the same target phases without the intermediate phase)",
        ),
    ):
        if (gain := verdict.gain(task, over=over)) is not None:
            mean = f"{points(gain.mean)}{over_seeds(gain)}"
            yield f"{what}, zero-shot mean of {name}, {_num_seeds(gain)}: {mean}."
            yield from without_collapsed(gain)


def unregistered(verdict: Verdict) -> Iterator[str]:
    """One sentence for each target that no seed learned, and which therefore has no model."""
    num, diverged = len(verdict.of_role(WINNER)), verdict.num_diverged(WINNER)
    for task in verdict.tasks:
        if verdict.chosen(task) is None:
            yield (
                f"No model of {task} is registered, because no seed learned it: of {seeds(num)} of "
                f"trial {verdict.trial}, {num - diverged} collapsed on it and {diverged} diverged."
            )


def _rows(verdict: Verdict, run: RetrainedSeed, task: str) -> Iterator[str]:
    scores, called = run.of(task), verdict.called(task)
    assert scores is not None
    winner, baseline = (verdict.intervals(role, task) for role in (WINNER, BASELINE))
    for language, interval in winner.items():
        cells = [language, percent(scores.by_language[language])]
        cells += [spread(interval), spread(baseline.get(language))]
        judged = called.get(language)
        cells += [between(judged.difference), judged.call.value] if judged else ["", ""]
        yield f"| {' | '.join(cells)} |"


def _num_seeds(gain: SeedGain) -> str:
    if gain.is_paired:
        return f"{gain.num_first} seed{'s' if gain.num_first != 1 else ''}"
    return f"{gain.num_first} and {gain.num_second} seeds"
