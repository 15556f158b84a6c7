"""retrain: the chosen trial plan again, with fresh seeds on the test split, its baseline beside it,
and the models of its first seed in the registry."""

import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from search.bases import find_encoder
from search.findings import seen_test_rows
from search.home import Home
from search.judging import by_language
from search.machine import Machine, local_ray
from search.record import StudyRecord, read_study
from search.recording import Record
from search.runner import check_places, recording
from search.selection import TrialRow, TrialState, best
from search.tracking import RegisteredModel
from search.verdict import BASELINE, WINNER, Retrained, Verdict, judged_pairs
from spaces.phases import Target, TrialPlan
from spaces.refusal import Refusal, unknown
from spaces.study import StudySettings
from spaces.tasks import get_task
from trainables import on_ray, outcomes
from trainables.export import About, export_target
from trainables.quiet import quiet_libraries
from trainables.workers import Workers
from trainables.workshop import Workshop

SPLIT = "test"  # read here and by `evaluate` only


def retrain(
    study: str,
    home: Home,
    *,
    experiment: str,
    tracking_uri: str,
    num_seeds: int,
    trial: int | None,
    data_root: str | None = None,
    on_done: Callable[[int, int], None],
) -> Verdict:
    """Train the best trial (or the one named) and its baseline with `num_seeds` fresh seeds each.

    What to train is read from MLflow alone; `data_root` says where rows lie, if elsewhere than in
    the search. Raises Refusal.
    """
    quiet_libraries()
    record = read_study(tracking_uri=tracking_uri, experiment=experiment, study=study)
    settings = StudySettings.parse(dict(record.settings), where=f"the record of study {study!r}")
    settings = settings.with_data_root(data_root)
    row = choose(record, trial)
    check_places(home, tracking_uri)
    plans = [
        (role, seed, plan.with_seed(seed))
        for seed in fresh_seeds(settings, num_seeds)
        for role, plan in roles(row.plan)
    ]
    name = f"trial-{row.number}"
    encoder = find_encoder(settings, home)
    shop = Workshop.open(settings, home=home.path, encoder=encoder, workers=Workers.alone())
    with recording(study, home, tracking_uri=tracking_uri, experiment=experiment) as log:
        for role, seed, plan in plans:
            log.retrain_started(name, seed=seed, role=role, plan=plan, phase_keys=())
        runs = tuple(_train(plans, settings, home, encoder, on_done))
        for run in runs:
            log.retrain_finished(
                name,
                seed=run.seed,
                role=run.role,
                plan=run.plan,
                phase_keys=run.phase_keys,
                scores=run.scores,
                reason=None if run.scores else "diverged, also at half its learning rate",
                outcomes=run.outcomes,
            )
        seen = seen_test_rows(record, row)
        pairs = judged_pairs(runs, lambda file: outcomes.read(Path(file)))
        verdict = Verdict(
            study=study,
            trial=row.number,
            runs=runs,
            models=(),
            seen=seen,
            languages=tuple(by_language(pairs)),
        )
        models = tuple(_register(verdict, task, shop, log, name) for task in settings.space.targets)
        log.retrain_closed(name, summary=verdict.summary())
        return replace(verdict, models=models)


def choose(record: StudyRecord, trial: int | None) -> TrialRow:
    """The trial asked for, or the best one. Raises Refusal if it has no score."""
    if trial is None:
        return best(record.rows)
    scored = {str(row.number): row for row in record.rows if row.state is TrialState.SCORED}
    if str(trial) not in scored:
        raise unknown(f"scored trial of study {record.name!r}", str(trial), scored)
    return scored[str(trial)]


def roles(plan: TrialPlan) -> list[tuple[str, TrialPlan]]:
    """The winner and the baseline beside it; a winner without intermediate phase has none."""
    if plan.is_baseline:
        return [(WINNER, plan)]
    return [(WINNER, plan), (BASELINE, plan.baseline())]


def fresh_seeds(settings: StudySettings, count: int) -> list[int]:
    """Seeds that the search did not use; the first ones are the same for every count."""
    draw = random.Random(f"retrain:{settings.study.seed}")
    used, seeds = {settings.study.seed, *settings.space.seeds}, list[int]()
    while len(seeds) < count:
        seed = draw.randrange(1, 2**31)
        if seed not in used and seed not in seeds:
            seeds.append(seed)
    return seeds


def _train(
    plans: Sequence[tuple[str, int, TrialPlan]],
    settings: StudySettings,
    home: Home,
    encoder: str,
    on_done: Callable[[int, int], None],
) -> list[Retrained]:
    """All plans on the test split, through the same phase store, as many at once as fit."""
    machine = Machine.here()
    max_concurrent = machine.max_concurrent_trials(settings)
    launch = on_ray.Launch.of(settings, home=home.path, encoder=encoder)
    runs: dict[int, Retrained] = {}

    def done(index: int, events: list[dict[str, Any]]) -> None:
        role, seed, plan = plans[index]
        keys = tuple(e["record"]["key"] for e in events if e["event"] == "phase")
        runs[index] = Retrained(
            role=role,
            seed=seed,
            plan=plan,
            scores=on_ray.scores_of(events),
            phase_keys=keys,
            outcomes=events[-1].get("outcomes", {}),
        )
        on_done(len(runs), len(plans))

    with local_ray(launch, machine):
        on_ray.train_plans(
            [(plan, SPLIT) for _, _, plan in plans],
            launch,
            max_concurrent=max_concurrent,
            on_done=done,
        )
    return [runs[index] for index in range(len(plans))]


def _register(
    verdict: Verdict, task: str, shop: Workshop, log: Record, retrain: str
) -> RegisteredModel:
    """The first seed's model of one target: the test split must not choose between seeds."""
    run = next((r for r in verdict.runs if r.role == WINNER and r.scores is not None), None)
    if run is None:
        raise Refusal(f"every seed of trial {verdict.trial} diverged: there is no model")
    with tempfile.TemporaryDirectory(prefix="transfer-search-") as scratch:
        folder = Path(scratch) / "model"
        about = about_target(run.plan, task, shop)
        export_target(folder, shop, about, card=verdict.card(task))
        return log.register_model(
            folder,
            name=f"{verdict.study}-{task}",
            retrain=retrain,
            seed=run.seed,
            params={"task": task, "trial": str(verdict.trial), "phase": about.phase_key or ""},
            requirements=["transfer-search"],
        )


def about_target(plan: TrialPlan, task: str, shop: Workshop) -> About:
    """What the model folder of one target of a trained plan says of itself."""
    target = next(target for target in plan.targets if target.task == task)
    recipe, evaluation = target.phase and target.phase.recipe, shop.settings.evaluation
    return About(
        task=task,
        labels=get_task(task).labels,
        max_length=recipe.max_length if recipe else evaluation.retrieval_max_length,
        phase_key=key_after(plan, target, shop),
        plan=plan.to_dict(),
    )


def key_after(plan: TrialPlan, target: Target, shop: Workshop) -> str | None:
    """Under which key the last phase before a target is scored lies; None where it is scored as
    the study starts. Raises Refusal if it is not in the phase store."""
    stages = shop.world.stages(plan, trained_as=shop.store.trained_as)
    stem = stages[0] if plan.intermediate else None
    wanted = target.phase or plan.intermediate
    chosen = next((s for s in stages if s[2] == wanted and (s is stem) == (not target.phase)), None)
    if chosen is None:
        return None
    key, _, phase = chosen
    if shop.store.resolve(key) is None:
        raise Refusal(
            f"phase {key} ({phase.mixture} at {phase.learning_rate:g}), which ends in target "
            f"{target.task!r}, is not in the phase store under this home: `run` trains it again, "
            "or take the home folder of the study"
        )
    return shop.store.trained_as(key)
