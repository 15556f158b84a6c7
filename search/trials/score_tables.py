"""Converts a trial's scores to tables, which MLflow stores besides its metrics. Pure."""

from typing import Any

from search.trials.ranking import TrialRow
from trainables.scoring.scores import Scores


def matrix(scores: Scores) -> list[dict[str, Any]]:
    """Return the language matrix as a table with one row per target, language and metric."""
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


def scored_rows(row: TrialRow) -> list[dict[str, str]]:
    """Return the scored rows of a trial as MLflow's data sets, one per target."""
    paths = {target.task.name: target.task.dataset for target in row.plan.targets}
    datasets = []
    for target in row.scores.targets if row.scores else ():
        protocol = target.protocol
        datasets.append(
            {
                "name": f"{target.task} {protocol.split}",
                "digest": protocol.data,
                "path": paths.get(target.task, target.task),
                "revision": protocol.revision,
                "context": protocol.split,
            }
        )
    return datasets
