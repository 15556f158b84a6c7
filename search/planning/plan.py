"""What a study would run: its plans, the stages they share, contract errors. Starts nothing."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from search.planning.costs import SEQUENCES_PER_SECOND, Cost, cost_of
from search.planning.older_stages import older_stage_warnings
from spaces.intermediates import NONE
from spaces.json_values import JsonObject, to_json
from spaces.phases import Phase, TrialPlan
from spaces.refusal import Refusal
from spaces.sections import SelectionRule
from spaces.study import StudySettings
from spaces.task_catalog import Source, Task, TaskKind, get_task
from trainables.scoring.metrics import has_cut_types


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlan:
    """Counts are over all plans of a grid, None where a range makes them endless.

    `num_stages` of `num_phases` phases are left when equal ones are trained once; `examples` are
    those of all stages, `examples_without_tree` what the plans would train each for itself.
    `errors` stop a run, `warnings` are kept in the record.
    """

    study: str
    num_trials: int
    first: tuple[TrialPlan, ...]
    num_plans: int | None
    num_phases: int | None
    num_stages: int | None
    examples: int | None
    examples_without_tree: int | None
    stages: tuple[tuple[str, int], ...]
    cost: Cost | None
    errors: tuple[str, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> JsonObject:
        """As JSON values; each plan of `first` as the record has it."""
        return {
            "study": self.study,
            "num_trials": self.num_trials,
            "first": [plan.to_dict() for plan in self.first],
            "num_plans": self.num_plans,
            "num_phases": self.num_phases,
            "num_stages": self.num_stages,
            "examples": self.examples,
            "examples_without_tree": self.examples_without_tree,
            "stages": dict(self.stages),
            "cost": to_json(self.cost) if self.cost else None,
            "errors": list(self.errors),
            "warnings": list(self.warnings),
        }


def plan_study(
    settings: StudySettings, *, sequences_per_second: float = SEQUENCES_PER_SECOND
) -> StudyPlan:
    """Everything that can be said of a study without training, without its encoder."""
    space = settings.search_space()
    first = tuple(space.decode(point) for point in space.first_points())
    plans = [space.decode(point) for point in space.grid_points()]
    is_endless = not plans
    paths = [path for plan in plans for path in stage_paths(plan)]
    stages = set(paths)
    counted = None if is_endless else len(paths)
    return StudyPlan(
        study=settings.study.name,
        num_trials=settings.budget.num_trials,
        first=first,
        num_plans=None if is_endless else len(plans),
        num_phases=counted,
        num_stages=None if is_endless else len(stages),
        examples=None if is_endless else sum(_examples(path[-1]) for path in stages),
        examples_without_tree=None if is_endless else sum(_examples(path[-1]) for path in paths),
        stages=tuple(_tree(plans).items()),
        cost=None
        if is_endless
        else cost_of(
            settings,
            plans,
            [path[-1] for path in stages],
            sequences_per_second=sequences_per_second,
        ),
        errors=tuple(contract_errors(settings)),
        warnings=tuple(contract_warnings(settings)),
    )


def stage_paths(plan: TrialPlan) -> list[tuple[Phase, ...]]:
    """The phases of a plan as paths from the encoder; equal paths are one node of the tree."""
    stem = () if plan.intermediate is None else (plan.intermediate,)
    tips = [(*stem, target.phase) for target in plan.targets if target.phase is not None]
    return [stem, *tips] if stem else tips


def contract_errors(settings: StudySettings) -> Iterator[str]:
    """What would make a run stop, or its scores meaningless."""
    for name in settings.space.targets:
        if not any(
            language != get_task(name).source_language for language in settings.languages_of(name)
        ):
            yield (
                f"target {name!r} has no zero-shot language among [evaluation] languages "
                f"{list(settings.evaluation.languages)}; it has {list(get_task(name).languages)}"
            )
        yield from _selection_errors(settings, name)
        yield from _head_errors(name)


def contract_warnings(settings: StudySettings) -> Iterator[str]:
    """What a reader of the scores should know."""
    space = settings.search_space()
    sources = [Source.parse(source) for source in space.sources]
    for name in settings.space.targets:
        yield from _same_rows(settings, name, sources)
        yield from metric_conventions(get_task(name))
    yield from older_stage_warnings(settings)
    budget, plans = settings.budget.num_trials, len(space.grid_points())
    if plans and budget > plans:
        yield f"the budget is {budget} trials, but the space has {plans} plans: it ends earlier"
    num_first = len(space.first_points())
    if settings.study.priors:
        from search.planning.priors import num_first as num_promising  # it brings scipy

        num_first += num_promising(space)
    if budget < num_first:
        yield f"the budget of {budget} trials does not reach past the {num_first} first points"


def check_study(settings: StudySettings) -> None:
    """Raise Refusal with the first contract error."""
    for error in contract_errors(settings):
        raise Refusal(f"study {settings.study.name!r}: {error}")


def _same_rows(settings: StudySettings, name: str, sources: Sequence[Source]) -> Iterator[str]:
    """Sources that have the target's own training rows, and those that have labelled rows of it in
    a language that it calls zero-shot."""
    target = get_task(name)
    trained = target.training_task
    same = [source for source in sources if trained in get_task(source.task).contents]
    language = get_task(trained).source_language
    again = [str(source) for source in same if source.language == language]
    if target.trains and again:
        yield (
            f"target {name!r} trains on the rows of {trained!r}, which the intermediate "
            f"{' and '.join(again)} {'has' if len(again) == 1 else 'have'} too: a gain of that "
            "pair is a second pass over the same data"
        )
    scored = set(settings.languages_of(name)) - {language}
    for source in same:
        if source.language in scored:
            yield (
                f"the intermediate {source} has labelled rows in {source.language} for target "
                f"{name!r}: its score there is not a zero-shot one"
            )


def metric_conventions(target: Task) -> Iterator[str]:
    """Main scores that go by a name under which others report another number."""
    if target.kind is TaskKind.TAGGING:
        has_spans = any(label.startswith(("B-", "I-")) for label in target.labels)
        if target.metric == "f1" and not has_spans:
            yield (
                f"the F1 of target {target.name!r} is seqeval's over tags without B- and I-, as "
                "XTREME reports it, where a run of equal tags is one span; `accuracy` is beside it"
                + (
                    ", and `f1_seqeval`, where seqeval 0.0.16 and later cut a tag's first letter"
                    if has_cut_types(target.labels)
                    else ""
                )
            )
        if target.metric == "accuracy" and has_spans:
            yield (
                f"target {target.name!r} is scored by the accuracy of tags, most of which are "
                "outside of spans; `f1` is beside it"
            )
    if target.name == "buccpairs":
        yield (
            "the accuracy of target 'buccpairs' is among the gold pairs alone: it is not the F1 "
            "of BUCC's mining, and does not stand in for it in XTREME's averages"
        )


def _head_errors(name: str) -> Iterator[str]:
    """A target that trains on another task's rows is scored with that task's head."""
    task = get_task(name)
    trained = get_task(task.training_task)
    if (task.kind, task.labels) != (trained.kind, trained.labels):
        yield (
            f"target {name!r} ({task.kind}, labels {list(task.labels)}) trains on "
            f"{trained.name!r} ({trained.kind}, labels {list(trained.labels)}): one head cannot "
            "serve both; give them the same labels in the same order"
        )


def _selection_errors(settings: StudySettings, name: str) -> Iterator[str]:
    evaluation, task = settings.evaluation, get_task(name)
    if name not in settings.objective_targets or settings.selecting_languages(name):
        return
    if evaluation.selection is SelectionRule.PIVOT_DEV:
        yield f"target {name!r} has none of the pivot languages {evaluation.pivot_languages}"
    elif evaluation.selection is SelectionRule.SOURCE_DEV:
        yield (
            f"target {name!r} has no rows in its source language {task.source_language!r}, from "
            "which source_dev selects; leave it out of [evaluation] objective"
        )


def _tree(plans: Iterable[TrialPlan]) -> dict[str, int]:
    """Intermediate stage (or none) -> how many target stages start from it."""
    tips: dict[str, set[Phase]] = {}
    for plan in plans:
        stem = plan.intermediate
        name = f"{stem.mixture} at {stem.learning_rate:g}{stem.adapters}" if stem else NONE
        tips.setdefault(name, set()).update(t.phase for t in plan.targets if t.phase is not None)
    return {name: len(phases) for name, phases in tips.items()}


def _examples(phase: Phase) -> int:
    return phase.recipe.num_steps * phase.recipe.batch_size
