"""The command `tasks`: what a study may name."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from search.cli.options import JsonOption, output
from spaces.study_file.study import StudySettings
from spaces.tasks.catalogue import SHIPPED


def tasks(
    study: Annotated[
        str | None, typer.Argument(help="A study file, to list its own tasks too.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the tasks with their kind, languages and metric."""
    catalogue = SHIPPED if study is None else StudySettings.load(study).catalogue
    rows = {
        task.name: {
            "kind": task.kind.value,
            "dataset": task.dataset,
            "metric": task.metric,
            "labels": list(task.labels),
            "source_language": task.source_language,
            "languages": list(task.languages),
            "train_on": task.training_task.name if task.trains else None,
        }
        for task in catalogue
    }

    def show(console: Console) -> None:
        table = Table("task", "kind", "metric", "source", "languages", box=None)
        for task in catalogue:
            languages = " ".join(task.languages)
            source = task.source_language if task.trains else "-"
            table.add_row(task.name, task.kind.value, task.metric, source, languages)
        console.print(table)

    output(rows, as_json, show)
