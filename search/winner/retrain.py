"""retrain: train the chosen trial plan and its baseline again with fresh seeds, score them on the
test split, and register the models of the seeds that are best on validation rows."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from search.addresses import refusing
from search.callbacks import OnDone, ignore
from search.cluster.ray_runtime import Cluster, max_concurrent_trials, ray_of
from search.home import Home
from search.preflight import check_places
from search.provenance import differences, lock, scored_facts, version_warnings, world_facts
from search.record.address import RecordAddress
from search.record.entries import model_name
from search.record.reader import BASELINE, TWIN, WINNER, StudyRecord, read_study
from search.record.registry import Registry
from search.record.retrains import RetrainRecord
from search.record.writer import DRAIN_SECONDS, recording
from search.report.description import describe
from search.trials.language_verdicts import by_language
from search.trials.ranking import TrialRow, best_baseline
from search.winner.register import crown, register
from search.winner.searched_study import SearchedStudy
from search.winner.verdict import RetrainedSeed, Verdict, judged_pairs
from search.winner.verdict_json import summary_json
from search.winner.winners_curse import winners_curse
from spaces.json_values import to_json
from spaces.phases import TrialPlan
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings
from trainables import on_ray
from trainables.quiet import quiet_libraries
from trainables.scoring import outcomes
from trainables.training.context import TrialContext
from trainables.training.trial import DEV

SPLIT = "test"  # read here and by `evaluate` only


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainRequest:
    """The options of a retrain. Raises Refusal for fewer than one seed.

    Attributes:
        num_seeds: the number of fresh seeds that each plan is trained with.
        trial: the number of another trial than the best.
        target: retrain the trial that is best for this target, and only the phases it needs.
        data_root: overrides the folder of the rows that the search read.
        encoder: overrides the folder of its encoder.
        is_forced: continue although the data or the code changed since the search.
        is_promoted: make the new versions champions without a comparison.
    """

    num_seeds: int
    trial: int | None = None
    target: str | None = None
    data_root: str | Path | None = None
    encoder: str | Path | None = None
    is_forced: bool = False
    is_promoted: bool = False

    def __post_init__(self) -> None:
        if self.num_seeds < 1:
            raise Refusal(f"a retrain with {self.num_seeds} seeds; expected 1 or more (--seeds)")


def retrain(
    address: RecordAddress,
    home: Home,
    wishes: RetrainRequest,
    *,
    cluster: Cluster | None = None,
    on_pretrained: OnDone = ignore,
    on_done: OnDone = ignore,
) -> Verdict:
    """Train the best trial (or the trial requested), the best baseline, and the trial's target
    phases without its intermediate phase, each with the same fresh seeds. The plans are read from
    MLflow.

    Args:
        cluster: where to train; None: a local Ray on this machine.
        on_pretrained: called with the numbers of finished and of all steps, if the encoder has to
            be pretrained first.
        on_done: called with the numbers of trained and of all plans.

    Raises:
        Refusal: before anything is trained.
    """
    quiet_libraries()
    searched = SearchedStudy.read(address, data_root=wishes.data_root, encoder=wishes.encoder)
    if wishes.target is not None:
        searched = searched.for_target(wishes.target)
    settings, record = searched.settings, searched.record
    row, baseline = searched.choose(wishes.trial), best_baseline(record.rows)
    check_places(home, tracking_uri=address.tracking_uri, phase_store=searched.phase_store)
    max_concurrent = max_concurrent_trials(settings, home, cluster)
    registry = _registry(address, row.plan)
    encoder, context = searched.open(home, on_pretrained=on_pretrained, any_encoder=True)
    cautions = (*_infeasible(row), *_without_baseline(row, baseline))
    cautions += _check_lock(row, record, context, is_forced=wishes.is_forced)
    seeds = fresh_seeds(settings, wishes.num_seeds)
    by_role = roles(row.plan, baseline.plan if baseline else None)
    plans = [(role, seed, plan.with_seed(seed)) for seed in seeds for role, plan in by_role.items()]
    name = f"trial-{row.number}" + (f"-{wishes.target}" if wishes.target else "")
    world = world_facts(settings, context.base, context.data.rows)
    locked = lock(by_role, seeds, world, scored_facts(row.plan, context, split=SPLIT))
    launch = on_ray.Launch.of(
        settings, home=home.path, encoder=encoder, phase_store=searched.phase_store
    )
    with recording(address, home) as log:
        retrain = log.retrain(name)
        retrain.locked(to_json(locked))
        for role, seed, plan in plans:
            retrain.started(seed=seed, role=role, plan=plan, phase_keys=(), lock=locked.digest)
        with ray_of(launch, cluster):
            runs = tuple(_train(plans, launch, max_concurrent, on_done))
        _record(retrain, runs, locked.digest)
        verdict = replace(_judge(record, row, runs, cautions), lock=locked.digest)
        verdict = _registered(verdict, context, retrain, registry, is_forced=wishes.is_promoted)
        champions = {"champions": verdict.decisions}
        retrain.closed(summary={**summary_json(verdict), **to_json(champions)})
        if log.drain(DRAIN_SECONDS):
            describe(log, read_study(address))
        return verdict


def _registry(address: RecordAddress, plan: TrialPlan) -> Registry:
    """The registry of models. Raises Refusal where a name that the models will have belongs to
    another study."""
    with refusing():
        registry = Registry.open(address.tracking_uri)
        for target in plan.targets:
            registry.check_owner(model_name(address.study, target.task.name), address.study)
    return registry


def _registered(
    verdict: Verdict,
    context: TrialContext,
    retrain: RetrainRecord,
    registry: Registry,
    *,
    is_forced: bool,
) -> Verdict:
    """The verdict with a model of every target that a seed learned, and whether each model is now
    the champion."""
    by_task = {task: register(verdict, task, context, retrain) for task in verdict.tasks}
    models = {task: model for task, model in by_task.items() if model is not None}
    with refusing():
        decisions = tuple(
            crown(registry, model, verdict, task, is_forced=is_forced)
            for task, model in models.items()
        )
    return replace(verdict, models=tuple(models.values()), decisions=decisions)


def _infeasible(row: TrialRow) -> tuple[str, ...]:
    """The caution for a trial that may not win: the user named it, or no trial may win."""
    if row.is_feasible is not False:
        return ()
    drop = 100 * (row.largest_drop or 0.0)
    return (
        f"trial {row.number} may not win, because a language drops {drop:.1f} points below its "
        "baseline",
    )


def _without_baseline(row: TrialRow, baseline: TrialRow | None) -> tuple[str, ...]:
    """The caution where the search has no baseline."""
    if row.plan.is_baseline or baseline is not None:
        return ()
    return (
        "the search has no scored baseline; the trial's target phases without its intermediate "
        "phase take its place, with learning rates that were chosen for use after that phase",
    )


def _check_lock(
    row: TrialRow, record: StudyRecord, context: TrialContext, *, is_forced: bool
) -> tuple[str, ...]:
    """Cautions that readers of the verdict must know. Raises Refusal if the data or the code
    changed since the search, unless forced."""
    changed = differences(row, record.world, context)
    if changed and not is_forced:
        raise Refusal(
            f"the data or the code of trial {row.number} changed since the search: "
            f"{'; '.join(changed)}; restore it, search again, or retrain with --force"
        )
    forced = [f"retrained with --force: {difference}" for difference in changed]
    return (*forced, *version_warnings(record.versions))


def _record(retrain: RetrainRecord, runs: Sequence[RetrainedSeed], digest: str) -> None:
    for run in runs:
        retrain.finished(
            seed=run.seed,
            role=run.role,
            plan=run.plan,
            phase_keys=run.phase_keys,
            scores=run.scores,
            validation=run.validation,
            reason=None if run.scores else "diverged, also at half its learning rate",
            outcomes=run.outcomes,
            lock=digest,
        )


def _judge(
    record: StudyRecord,
    row: TrialRow,
    runs: tuple[RetrainedSeed, ...],
    cautions: tuple[str, ...],
) -> Verdict:
    """The verdict of the runs, before a model is registered."""
    pairs = judged_pairs(runs, lambda file: outcomes.read(Path(file)))
    recorded = record.settings.evaluation
    verdict = Verdict(
        study=record.name,
        trial=row.number,
        runs=runs,
        models=(),
        seen=record.seen_test_rows(row),
        languages=tuple(by_language(pairs)),
        cautions=cautions,
        rule=recorded.selection,
        pivot_languages=recorded.pivot_languages,
    )
    fresh, fresh_baseline = (verdict.scores_of(role) for role in (WINNER, BASELINE))
    outcomes_of = [(first.rows, second.rows) for first, second in pairs]
    baseline = best_baseline(record.rows)
    curse = winners_curse(record.rows, row, baseline, fresh, fresh_baseline, outcomes_of)
    return replace(verdict, curse=curse)


def roles(plan: TrialPlan, baseline: TrialPlan | None) -> dict[str, TrialPlan]:
    """Role -> the plan that is trained: the winner; the best baseline of the search, which was
    tuned as the winner was; and the twin, if it is another plan. The twin has the winner's target
    phases without its intermediate phase, at rates that were chosen together with that phase. A
    winner without an intermediate phase is trained alone."""
    if plan.is_baseline:
        return {WINNER: plan}
    twin = plan.baseline()
    if baseline is None or baseline.with_seed(0) == twin.with_seed(0):
        return {WINNER: plan, BASELINE: twin}
    return {WINNER: plan, BASELINE: baseline, TWIN: twin}


def fresh_seeds(settings: StudySettings, count: int) -> list[int]:
    """Seeds that the search did not use. A larger count adds seeds and keeps the first ones."""
    draw = random.Random(f"retrain:{settings.study.seed}")
    used, seeds = {settings.study.seed, *settings.space.seeds}, list[int]()
    while len(seeds) < count:
        seed = draw.randrange(1, 2**31)
        if seed not in used and seed not in seeds:
            seeds.append(seed)
    return seeds


def _train(
    plans: Sequence[tuple[str, int, TrialPlan]],
    launch: on_ray.Launch,
    max_concurrent: int,
    on_done: OnDone,
) -> list[RetrainedSeed]:
    """Train all plans through the same phase store, as many at once as fit, and score them on the
    test split. The winner is also scored on validation rows, which choose between its seeds."""
    runs: dict[int, RetrainedSeed] = {}

    def done(index: int, events: list[dict[str, Any]]) -> None:
        role, seed, plan = plans[index]
        keys = tuple(e["record"]["key"] for e in events if e["event"] == "phase")
        runs[index] = RetrainedSeed(
            role=role,
            seed=seed,
            plan=plan,
            scores=on_ray.scores_of(events),
            phase_keys=keys,
            validation=on_ray.scores_of(events, also=DEV),
            outcomes=events[-1].get("outcomes", {}),
        )
        on_done(len(runs), len(plans))

    on_ray.train_plans(
        [
            on_ray.TrialJob(plan, SPLIT, also=(DEV,) if role == WINNER else ())
            for role, _, plan in plans
        ],
        launch,
        max_concurrent=max_concurrent,
        on_done=done,
    )
    return [runs[index] for index in range(len(plans))]
