"""Scores as tests make them up."""

from dataclasses import replace

from trainables.scoring.scores import ScoringProtocol, TargetScores

PROTOCOL = ScoringProtocol(
    task="coh",
    metric="accuracy",
    split="validation",
    selection="target_dev",
    data="d",
    labels="l",
    rows=0,
    layer=None,
    pooling=None,
    max_length=64,
    training_version=1,
)


def target(task: str, **languages: float) -> TargetScores:
    """Of ten rows in each language, with another metric that counts for nothing."""
    return TargetScores(
        task=task,
        main="accuracy",
        source_language="en",
        chance=0.5,
        languages={code: {"accuracy": value, "other": 0.0} for code, value in languages.items()},
        num_rows=dict.fromkeys(languages, 10),
        protocol=replace(PROTOCOL, task=task),
    )


COH = target("coh", en=0.9, de=0.8, ja=0.6, sw=0.4)
FACT = target("fact", en=0.7, de=0.5, ja=0.1)
RETRIEVAL = target("retrieval", de=0.4, sw=0.2)
