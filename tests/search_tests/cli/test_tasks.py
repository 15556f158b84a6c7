"""The command `tasks`, and the page of the tasks."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spaces.tasks.catalogue import SHIPPED

ROOT = Path(__file__).parents[3]
Run = Callable[..., Any]


def test_tasks(cli: Run) -> None:
    found = json.loads(cli("tasks", "--json").out)
    assert list(found) == [task.name for task in SHIPPED]
    assert found["retrieval"]["train_on"] is None
    assert all(task.name in cli("tasks").out for task in SHIPPED)


def test_tasks_of_a_study(cli: Run, tmp_path: Path) -> None:
    study = ROOT / "examples" / "tickets"
    file = next(study.glob("*.toml"))
    found = json.loads(cli("tasks", file, "--json").out)
    own = [name for name in found if name not in SHIPPED]
    assert own
    assert set(found) - {*own} == {task.name for task in SHIPPED}
    assert own[0] in cli("tasks", file).out


def test_the_page_of_the_tasks_says_what_the_program_says(cli: Run) -> None:
    page = (ROOT / "docs" / "reference" / "tasks.md").read_text()
    of_all = rows_below("## All tasks", page)
    languages = {
        name: codes.split()
        for names, codes in rows_below("## Languages", page)
        for name in quoted(names)
    }
    documented = {
        name: {
            "kind": kind,
            "metric": metric,
            "train_on": None if train_on == "-" else train_on.strip("`"),
            "num_languages": int(count),
            "dataset": dataset.strip("`"),
            "languages": languages[name],
        }
        for cell, kind, metric, train_on, _, count, dataset in of_all
        for name in quoted(cell)
    }
    told = json.loads(cli("tasks", "--json").out)
    assert documented == {
        name: {key: entry[key] for key in ("kind", "metric", "train_on", "dataset", "languages")}
        | {"num_languages": len(entry["languages"])}
        for name, entry in told.items()
    }
    num_rows = {quoted(cells[0])[0]: cells[4] for cells in of_all}
    assert num_rows == {
        task.name: f"{task.num_train_rows:,}" if task.trains else "-" for task in SHIPPED
    }
    licensed = {name for cells in rows_below("## Licences", page) for name in quoted(cells[0])}
    joined = {task.dataset for task in SHIPPED if task.parts}
    wanted = {origin.dataset for task in SHIPPED for origin in (task, *task.elsewhere)}
    assert wanted - joined <= licensed


def rows_below(heading: str, page: str) -> list[list[str]]:
    """The cells of each row of the table under a heading."""
    section = page.split(f"{heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def quoted(cell: str) -> list[str]:
    """The words in code quotes."""
    return re.findall("`([^`]+)`", cell)
