"""The numbers on the page of the stage tree are those that `plan` counts."""

import re
from pathlib import Path

import pytest

from search.planning.plan import plan_study
from spaces.study_file.study import StudySettings

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "stage-tree.md"


@pytest.mark.parametrize("study", ["pocket", "paper"])
def test_the_page_says_what_the_tree_saves(study: str) -> None:
    plan = plan_study(StudySettings.load(study))
    (row,) = re.findall(rf"^\| `{study}` [^|]*\|(.*)\|$", PAGE.read_text(), flags=re.MULTILINE)
    assert [int(cell.replace(",", "")) for cell in row.split("|")] == [
        plan.num_plans,
        plan.num_phases,
        plan.num_stages,
        plan.examples,
        plan.examples_without_tree,
    ]
