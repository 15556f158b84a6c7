"""What no tree would train, counted from plans alone."""

from benchmarks.stage_sharing import pair_by_pair, pairs_of, planned, study
from search.planning.plan import plan_study


def test_pairs_train_their_intermediate_phase_once_for_every_target() -> None:
    settings = study("none")
    space = settings.search_space()
    plans = [space.decode(point) for point in space.grid_points()]
    stem, tip = 120 * 16, 40 * 16
    tips = len(plans) * 3 * tip
    stems = [plan for plan in plans if plan.intermediate]
    assert pair_by_pair(plans) == len(stems) * 3 * stem + tips
    assert planned(settings) == (2 * stem + tips, len(stems) * stem + tips, pair_by_pair(plans))
    assert planned(settings)[1] == plan_study(settings).examples_without_tree


def test_a_plan_falls_into_one_pair_a_target() -> None:
    space = study("none").search_space()
    plan = space.decode(space.grid_points()[-1])
    pairs = pairs_of(plan)
    assert [pair.targets for pair in pairs] == [(target,) for target in plan.targets]
    assert {pair.intermediate for pair in pairs} == {plan.intermediate}
