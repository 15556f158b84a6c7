"""Lists what a study would run: its plans, the stages they share, and contract errors. Trains
nothing."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from search.planning.costs import SEQUENCES_PER_SECOND, Cost, cost_of
from search.planning.older_stages import older_stage_warnings
from spaces.intermediates import NONE
from spaces.json_values import JsonObject, to_json
from spaces.phases import Phase, TrialPlan
from spaces.refusal import Refusal
from spaces.study_file.sections import SelectionRule
from spaces.study_file.study import StudySettings
from spaces.tasks.source import Source
from spaces.tasks.task import Task, TaskKind
from trainables.scoring.metrics import has_cut_types


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlan:
    """What a study would run.

    The counts are over all plans of a grid. They are None if the space is infinite because a
    parameter has a range.

    Attributes:
        study: name of the study.
        num_trials: trials of the budget.
        first: plans that are tried first.
        num_plans: plans of the grid.
        num_phases: phases of all plans.
        num_stages: phases that are trained, since equal phases are trained once.
        examples: training examples of all stages.
        examples_without_tree: training examples if each plan trained all its phases.
        stages: (intermediate stage, number of target stages that start from it).
        cost: cost of all stages and plans.
        errors: sentences that stop a run.
        warnings: sentences that are stored in the record.
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
        """Return JSON values; each plan of `first` has the form that the record stores."""
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
    """Return everything that can be known of a study without training and without its encoder."""
    space = settings.search_space()
    first = tuple(space.decode(point) for point in space.first_points())
    plans = [space.decode(point) for point in space.grid_points()]
    is_infinite = not plans
    paths = [path for plan in plans for path in stage_paths(plan)]
    stages = set(paths)
    counted = None if is_infinite else len(paths)
    return StudyPlan(
        study=settings.study.name,
        num_trials=settings.budget.num_trials,
        first=first,
        num_plans=None if is_infinite else len(plans),
        num_phases=counted,
        num_stages=None if is_infinite else len(stages),
        examples=None if is_infinite else sum(_examples(path[-1]) for path in stages),
        examples_without_tree=None if is_infinite else sum(_examples(path[-1]) for path in paths),
        stages=tuple(_tree(plans).items()),
        cost=None
        if is_infinite
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
    """Return each phase of a plan with the phases before it, as a path from the encoder.

    Equal paths are one node of the stage tree.
    """
    root = () if plan.intermediate is None else (plan.intermediate,)
    leaves = [(*root, target.phase) for target in plan.targets if target.phase is not None]
    return [root, *leaves] if root else leaves


def contract_errors(settings: StudySettings) -> Iterator[str]:
    """Yield what would stop a run or make its scores meaningless."""
    for target in settings.targets:
        if not any(
            language != target.source_language for language in settings.languages_of(target)
        ):
            yield (
                f"target {target.name!r} has no zero-shot language among [evaluation] languages "
                f"{list(settings.evaluation.languages)}; its languages are "
                f"{list(target.languages)}"
            )
        yield from _selection_errors(settings, target)


def contract_warnings(settings: StudySettings) -> Iterator[str]:
    """Yield what a reader of the scores should know."""
    space = settings.search_space()
    sources = [settings.catalogue.source(name) for name in space.sources]
    for target in settings.targets:
        yield from _same_rows(settings, target, sources)
        yield from metric_conventions(target)
    yield from older_stage_warnings(settings)
    budget, plans = settings.budget.num_trials, len(space.grid_points())
    if plans and budget > plans:
        yield (
            f"the budget is {budget} trials, but the space has only {plans} plans; the search ends "
            "before the budget is used up"
        )
    num_first = len(space.first_points())
    if settings.study.priors:
        from search.planning.priors import num_first as num_promising  # it imports scipy

        num_first += num_promising(space)
    if budget < num_first:
        yield (
            f"the budget is {budget} trials, which is fewer than the {num_first} points that are "
            "tried first; the sampler draws nothing"
        )


def check_study(settings: StudySettings) -> None:
    """Raise Refusal with the first contract error."""
    for error in contract_errors(settings):
        raise Refusal(f"study {settings.study.name!r}: {error}")


def _same_rows(settings: StudySettings, target: Task, sources: Sequence[Source]) -> Iterator[str]:
    """Yield a warning for sources with the training rows of a target, and for sources with its
    labelled rows in one of its zero-shot languages."""
    trained = target.training_task
    overlapping = [source for source in sources if trained.name in source.task.contents]
    language = trained.source_language
    repeated = [str(source) for source in overlapping if source.language == language]
    if target.trains and repeated:
        yield (
            f"target {target.name!r} trains on the rows of {trained.name!r}, which intermediate "
            f"{' and '.join(repeated)} {'contains' if len(repeated) == 1 else 'contain'} too; a "
            "gain of such a pair comes from a second pass over the same data"
        )
    scored = set(settings.languages_of(target)) - {language}
    for source in overlapping:
        if source.language in scored:
            yield (
                f"intermediate {source} has labelled rows in {source.language} for target "
                f"{target.name!r}, so the target's score in {source.language} is not zero-shot"
            )


def metric_conventions(target: Task) -> Iterator[str]:
    """Yield a warning if others report a different number under the name of the main score."""
    if target.kind is TaskKind.TAGGING:
        has_spans = any(label.startswith(("B-", "I-")) for label in target.labels)
        if target.metric == "f1" and not has_spans:
            yield (
                f"the F1 of target {target.name!r} is computed by seqeval's rules on tags without "
                "B- and I-, as in XTREME: a run of equal tags counts as one span; the accuracy is "
                "reported as `accuracy`"
                + (
                    ", the F1 of seqeval 0.0.16 and later, which cuts a tag's first letter, as "
                    "`f1_seqeval`"
                    if has_cut_types(target.labels)
                    else ""
                )
            )
        if target.metric == "accuracy" and has_spans:
            yield (
                f"target {target.name!r} is scored by the accuracy of its tags, most of which are "
                "outside of spans; the F1 is reported as `f1`"
            )
    if target.name == "buccpairs":
        yield (
            "the accuracy of target 'buccpairs' is measured among the gold pairs only; it is not "
            "the F1 of BUCC's mining task and cannot replace it in XTREME's averages"
        )


def _selection_errors(settings: StudySettings, target: Task) -> Iterator[str]:
    """Yield an error if the selection rule may read no language of an objective target."""
    evaluation, name = settings.evaluation, target.name
    if name not in settings.objective_targets or settings.selecting_languages(target):
        return
    if evaluation.selection is SelectionRule.PIVOT_DEV:
        yield (
            f"target {name!r} has none of the pivot languages {evaluation.pivot_languages}; leave "
            "it out of [evaluation] objective or add one of its languages"
        )
    elif evaluation.selection is SelectionRule.SOURCE_DEV:
        yield (
            f"target {name!r} has no rows in its source language {target.source_language!r}, which "
            "source_dev selects by; leave it out of [evaluation] objective"
        )


def _tree(plans: Iterable[TrialPlan]) -> dict[str, int]:
    """Return intermediate stage (or none) -> number of target stages that start from it."""
    leaves: dict[str, set[Phase]] = {}
    for plan in plans:
        root = plan.intermediate
        name = f"{root.mixture} at {root.learning_rate:g}{root.adapters}" if root else NONE
        leaves.setdefault(name, set()).update(t.phase for t in plan.targets if t.phase is not None)
    return {name: len(phases) for name, phases in leaves.items()}


def _examples(phase: Phase) -> int:
    return phase.recipe.num_steps * phase.recipe.batch_size
