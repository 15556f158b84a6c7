import ast
import re
from pathlib import Path

import pytest

from spaces.mixture import Mixture
from spaces.refusal import Refusal
from spaces.tasks.catalogue import SHIPPED, Catalogue
from spaces.tasks.origin import Layout
from spaces.tasks.own_tasks import OWN_ROWS, OWN_TASKS, own_rows, own_task, xtreme_rows
from spaces.tasks.source import Source
from spaces.tasks.task import TaskKind

TICKETS = own_task(
    "tickets",
    TaskKind.CLASSIFICATION,
    "rows/tickets",
    languages=("de", "en", "sw"),
    labels=("bug", "wish", "praise"),
    num_train_rows=900,
)


def test_no_task_of_ones_own_is_shipped() -> None:
    assert OWN_TASKS == ()
    assert OWN_ROWS == {}


def test_a_task_of_ones_own_is_a_task() -> None:
    assert TICKETS.layout is Layout.ROWS
    assert TICKETS.source_language == "de"
    assert TICKETS.zero_shot_languages == ("en", "sw")
    assert TICKETS.chance == pytest.approx(1 / 3)
    assert TICKETS.config_of("sw") == "sw"
    assert [TICKETS.hub_split("sw", split) for split in ("train", "validation", "test")] == [
        "train",
        "validation",
        "test",
    ]


def test_ones_own_rows_make_a_source_of_a_task_that_is_there() -> None:
    catalogue = SHIPPED.with_rows("qqp", own_rows("rows/qqp", "de", "sw"))
    qqp = catalogue.get("qqp")
    assert catalogue.source("qqp@sw") == Source(qqp, "sw")
    mixed = [catalogue.source(text) for text in ("qqp@sw", "mnli@de")]
    mixture = Mixture.proportional(mixed, temperature=1, cap=None)
    assert [str(source) for source in mixture.sources] == ["mnli@de", "qqp@sw"]
    assert qqp.origin_of("de").reader == "qqp"
    assert qqp.origin_of("en").dataset == "nyu-mll/glue"
    with pytest.raises(Refusal, match="unknown language of task 'qqp' 'fr'"):
        catalogue.source("qqp@fr")


def test_names_that_are_taken_or_unknown_are_refused() -> None:
    with pytest.raises(Refusal, match="task 'tickets' is defined twice"):
        Catalogue((TICKETS, TICKETS))
    with pytest.raises(Refusal, match=r"unknown task 'ticket'\. Did you mean 'tickets'"):
        Catalogue((TICKETS,)).with_rows("ticket", own_rows("rows", "de"))


def test_the_entry_of_the_docs_is_an_entry_of_ten_lines_at_most() -> None:
    text = (Path(__file__).parents[3] / "docs" / "how-to" / "own-task.md").read_text()
    entries = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    for entry in entries:
        names = {
            "own_task": own_task,
            "own_rows": own_rows,
            "xtreme_rows": xtreme_rows,
            "TaskKind": TaskKind,
        }
        exec(entry, names)
        for node in ast.walk(ast.parse(entry)):
            if isinstance(node, ast.Call):
                assert (node.end_lineno or 0) - node.lineno + 1 <= 10
        assert names.get("OWN_TASKS") or names.get("OWN_ROWS")
    assert len(entries) == 4
