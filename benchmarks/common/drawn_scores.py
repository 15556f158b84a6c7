"""Draws scores of nine tasks, for benchmarks of the record that train nothing."""

import random

from trainables.scoring.scores import ScoringProtocol, TargetScores

TASKS = ("xnli", "pawsx", "udpos", "panx", "xquad", "mlqa", "tydiqa", "bucc", "tatoeba")


def drawn_scores(task: str, languages: list[str], draw: random.Random) -> TargetScores:
    """Return random accuracies of one task, one per language."""
    protocol = ScoringProtocol(
        task=task,
        metric="accuracy",
        split="validation",
        selection="target_dev",
        data="0123456789abcdef",
        labels="",
        rows=0,
        layer=None,
        pooling=None,
        max_length=128,
        training_version=1,
    )
    return TargetScores(
        task=task,
        main="accuracy",
        source_language="en",
        chance=0.3,
        languages={code: {"accuracy": draw.uniform(0.4, 0.9)} for code in languages},
        num_rows=dict.fromkeys(languages, 1000),
        protocol=protocol,
    )
