"""All of the glance, from findings."""

from dataclasses import replace
from typing import Any

from search.degradation.findings import Degradation, SlopeRow
from search.degradation.slopes import Slope
from search.findings.findings import ParetoEntry
from search.glance.glance import Glance
from spaces.study_file.sections import Objective
from tests.found import found, gain_of, retrain_of


def slope(value: float, half: float) -> Slope:
    return Slope(
        value=value,
        low=value - half,
        high=value + half,
        p=0.5,
        freedom=5,
        num_families=6,
        rank=None,
        unknown=None,
    )


def test_a_glance_of_the_planted_study(planted: Any) -> None:
    glance = Glance.of(found(planted))
    assert glance.heading == (
        "Study pocket (finished): 5 of 9 trials scored, 1 failed, 1 pruned, 1 running"
    )
    assert glance.measured_on == "the rows that chose the trial, one seed"
    assert not glance.is_tested
    assert [row.trial for row in glance.plans] == [3, 2, 1]
    assert [row.task for row in glance.targets] == ["rel", "coh", "retrieval"]
    assert glance.steps[0].command == "transfer-search retrain pocket"
    assert Glance.of(found(planted, ())).heading == "Study pocket (finished): 0 of 0 trials scored"


def test_the_pareto_set_of_several_objectives(planted: Any) -> None:
    objectives = (Objective.WORST_LANGUAGE, Objective.HOURS)
    entries = tuple(ParetoEntry(number=n, name="fact", values={}) for n in (3, 1))
    findings = found(planted, objectives=objectives, pareto=entries)
    assert Glance.of(findings).pareto == (
        "Pareto set: trials 3, 1; retrain takes 3, unless --trial names another"
    )
    assert Glance.of(replace(findings, pareto=entries[:1])).pareto == "Pareto set: trial 3"
    assert Glance.of(found(planted)).pareto == ""


def test_what_a_retrain_was_measured_on(planted: Any) -> None:
    cells = planted.verdicts_of(planted.verdict_cells(num_seeds=3))
    retrain = retrain_of(gain_of(0.1, 0.05), languages=cells)
    glance = Glance.of(found(planted, retrains=(retrain,)))
    assert glance.measured_on == "test rows, 3 seeds"
    assert glance.is_tested


def test_distance_is_named_only_where_it_is_significant(planted: Any) -> None:
    findings = found(planted)

    def told(before: Slope, change: Slope | None, intermediate: str = "fact") -> str:
        row = SlopeRow(
            task=None,
            kind="syntactic",
            num_languages=11,
            unmeasured=(),
            nearest="de",
            farthest="sw",
            span=0.5,
            before=before,
            change=change,
        )
        degradation = replace(
            Degradation.unmeasured(""), intermediate=intermediate, num_languages=11, slopes=(row,)
        )
        return Glance.of(replace(findings, degradation=degradation)).distance

    none, some = slope(0.1, 0.2), slope(-0.2, 0.1)
    assert told(none, none) == "distance: no significant effect on the gap, over 11 languages"
    assert told(some, none) == (
        "distance: the gap depends on syntactic distance, with and without fact"
    )
    assert told(none, some) == (
        "distance: with fact the gap grows less with syntactic distance (−10.0 from de to sw)"
    )
    assert told(none, some, "coh") == "", "of another comparison"
