"""A trial's scores as tables: what MLflow keeps beside its metrics. Pure."""

from typing import Any

from spaces.task_catalog import TASKS
from trainables.scoring.scores import Scores


def matrix(scores: Scores) -> list[dict[str, Any]]:
    """The language matrix as a table: a row a target, language and metric."""
    return [
        {
            "task": target.task,
            "language": language,
            "is_source": language == target.source_language,
            "metric": metric,
            "is_main": metric == target.main,
            "value": value,
            "num_rows": target.num_rows.get(language),
        }
        for target in scores.targets
        for language, metrics in target.languages.items()
        for metric, value in metrics.items()
    ]


def scored_rows(scores: Scores | None) -> list[dict[str, str]]:
    """The rows that the scores are of, as MLflow's data sets: one a target."""
    found = []
    for target in scores.targets if scores else ():
        protocol = target.protocol
        task = TASKS.get(target.task)
        found.append(
            {
                "name": f"{target.task} {protocol.split}",
                "digest": protocol.data,
                "path": task.dataset if task else target.task,
                "revision": protocol.revision,
                "context": protocol.split,
            }
        )
    return found
