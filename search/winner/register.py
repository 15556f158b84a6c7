"""A trained target as a version in the registry: folder, card, tags, and the alias `champion`."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from search.record.entries import model_name
from search.record.reader import WINNER
from search.record.registry import RegisteredModel, Registry
from search.record.retrains import RetrainRecord
from search.winner import model_card
from search.winner.champion import Claim, Decision, decide
from search.winner.verdict import RetrainedSeed, Verdict
from search.winner.verdict_text import card
from spaces.phases import Pooling, Target, TrialPlan, rate_name
from spaces.refusal import Refusal
from trainables.exporting.model_folder import ModelDescription, export_target
from trainables.scoring import outcomes
from trainables.training.context import TrialContext


def register(
    verdict: Verdict, task: str, context: TrialContext, retrain: RetrainRecord
) -> RegisteredModel | None:
    """Register one target's model of the seed that is best on validation rows; test rows must not
    choose between seeds. None if no seed learned the target."""
    run = verdict.chosen(task)
    if run is None:
        return None
    text = whole_card(
        card(verdict, task),
        run.plan,
        task,
        context,
        languages=list(verdict.by_language(WINNER, task)),
        cautions=verdict.cautions,
    )
    with tempfile.TemporaryDirectory(prefix="transfer-search-") as scratch:
        folder = Path(scratch) / "model"
        about = about_target(run.plan, task, context)
        export_target(folder, context, about, card=text)
        return retrain.register(
            folder,
            name=model_name(verdict.study, task),
            seed=run.seed,
            params={"task": task, "trial": str(verdict.trial), "phase": about.phase_key or ""},
            tags=version_tags(verdict, run, task, retrain.name),
            requirements=["transfer-search"],
            outcomes=Path(run.outcomes[task]) if task in run.outcomes else None,
        )


def version_tags(verdict: Verdict, run: RetrainedSeed, task: str, retrain: str) -> dict[str, str]:
    """The tags of a version: its scores, its seed and the validation score that chose the seed, and
    how many of the retrain's seeds failed."""
    num, validation = len(verdict.of_role(WINNER)), verdict.validation_of(run, task)
    return {
        "task": task,
        "trial": str(verdict.trial),
        "retrain": retrain,
        "seed": str(run.seed),
        "validation": "" if validation is None else str(validation),
        "collapsed": f"{verdict.num_collapsed(WINNER, task)} of {num} seeds",
        "diverged": f"{verdict.num_diverged(WINNER)} of {num} seeds",
        **Claim.of(verdict.scores_of(WINNER), task, model=run.scores).to_tags(),
    }


def whole_card(
    scores: str,
    plan: TrialPlan,
    task: str,
    context: TrialContext,
    *,
    languages: Sequence[str],
    cautions: Sequence[str] = (),
) -> str:
    """A model's card: the part with its `scores`, then what its users should know."""
    target = plan.target(task)
    phases = (plan.intermediate, target.phase)
    sources = {source for phase in phases if phase for source in phase.mixture.sources}
    licences = {
        str(source): context.data.rows.describe(source.task, source.language, "train").licence
        for source in sorted(sources, key=str)
    }
    entry = target.task
    cautions = (*cautions, *_halved(plan, task, context))
    rest = model_card.sections(entry, languages=languages, licences=licences, cautions=cautions)
    return model_card.head(entry, languages) + scores + rest


def crown(
    registry: Registry, model: RegisteredModel, verdict: Verdict, task: str, *, is_forced: bool
) -> Decision:
    """Decide whether the new version becomes the champion, and move the alias if it does."""
    standing, run = registry.champion(model.name), verdict.chosen(task)
    if standing is not None and standing.version == model.version:
        return Decision(name=model.name, is_champion=True, reason="it was the champion already")
    assert run is not None
    rows = outcomes.read(Path(run.outcomes[task])) if task in run.outcomes else None
    others = {v.version: v for v in registry.versions(model.name) if v.version != model.version}
    decision = decide(
        model.name,
        Claim.of(verdict.scores_of(WINNER), task, model=run.scores, rows=rows),
        None if standing is None else standing.version,
        {version: other.tags for version, other in others.items()},
        rows_of=lambda version: registry.outcomes(others[version]),
        is_forced=is_forced,
    )
    if decision.is_champion:
        registry.crown(model)
    return decision


def about_target(plan: TrialPlan, task: str, context: TrialContext) -> ModelDescription:
    """The description in the model folder of one target of a trained plan."""
    target = plan.target(task)
    evaluation = context.settings.evaluation
    return ModelDescription(
        task=task,
        labels=target.task.labels,
        max_length=evaluation.max_length_of(target.recipe),
        phase_key=key_after(plan, target, context),
        plan=plan.to_dict(),
        layer=evaluation.retrieval_layer,
        learning_rates=rates_of(plan, target, context),
        kind=target.task.kind.value,
        head=target.task.training_task.name,
        answer_rules=target.task.answer_rules.value,
        pooling=(target.recipe.pooling if target.recipe else Pooling.MEAN).value,
    )


def rates_of(plan: TrialPlan, target: Target, context: TrialContext) -> dict[str, float]:
    """Role -> the learning rate that the phase was trained at, for the phases of a target's model:
    half of the planned rate if training diverged at that."""
    of_target = replace(plan, targets=(target,))
    stages = context.key_facts.stages(of_target, trained_as=context.store.trained_as)
    records = [(phase.role.value, context.store.resolve(key)) for key, _, phase in stages]
    return {role: record.phase["learning_rate"] for role, record in records if record is not None}


def _halved(plan: TrialPlan, task: str, context: TrialContext) -> list[str]:
    target = plan.target(task)
    rates = rates_of(plan, target, context)
    phases = [phase for phase in (plan.intermediate, target.phase) if phase is not None]
    return [
        f"Its {phase.role} phase diverged at the planned learning rate "
        f"{rate_name(phase.learning_rate)}, so it was trained at half of that, {rate_name(rate)}."
        for phase in phases
        if (rate := rates.get(phase.role, phase.learning_rate)) != phase.learning_rate
    ]


def key_after(plan: TrialPlan, target: Target, context: TrialContext) -> str | None:
    """The key of the last phase before a target is scored; None if the target is scored with the
    encoder that the study starts from. Raises Refusal if the phase is not in the phase store."""
    stages = context.key_facts.stages(plan, trained_as=context.store.trained_as)
    stem = stages[0] if plan.intermediate else None
    last = target.phase or plan.intermediate
    chosen = next((s for s in stages if s[2] == last and (s is stem) == (not target.phase)), None)
    if chosen is None:
        return None
    key, _, phase = chosen
    if context.store.resolve(key) is None:
        raise Refusal(
            f"phase {key} ({phase.mixture} at {phase.learning_rate:g}), the last one before target "
            f"{target.task.name!r} is scored, is not in the phase store of this home; name the "
            "home folder of the study with --home, or train the phase again with `run`"
        )
    return context.store.trained_as(key)
