from collections.abc import Callable

import pytest

from search.planning.older_stages import older_stage_warnings
from search.planning.plan import plan_study
from spaces.study_file.study import StudySettings
from trainables.rows.rows import Rows

Settings = Callable[..., StudySettings]


@pytest.mark.parametrize(
    ("source", "languages", "named"),
    [
        ("csqa", ["de", "el"], ["Ancient Greek in el (84% of the test rows)"]),
        (
            "csqa",
            ["ru", "zh", "fr"],
            ["Old French in fr (20%", "Old Russian in ru (21%", "zh (38%"],
        ),
        ("udpos@el", ["de"], ["Ancient Greek in el"]),
        ("csqa", ["de"], []),
    ],
)
def test_older_stages_are_named(
    source: str, languages: list[str], named: list[str], settings_of: Settings
) -> None:
    space = {"intermediate": ["none", source], "targets": ["udpos"]}
    settings = settings_of(space=space, evaluation={"languages": languages})
    told = list(older_stage_warnings(settings))
    assert len(told) == bool(named)
    assert all(name in told[0] for name in named)
    assert set(told) <= set(plan_study(settings).warnings)


def test_a_study_that_leaves_them_out_is_told_nothing(settings_of: Settings) -> None:
    evaluation = {"languages": ["el"], "older_stages": False}
    settings = settings_of(
        space={"intermediate": ["none", "csqa"], "targets": ["udpos"]}, evaluation=evaluation
    )
    assert not list(older_stage_warnings(settings))
    assert not Rows.of(settings).older_stages
