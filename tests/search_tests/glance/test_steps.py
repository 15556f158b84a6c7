"""The commands that may be run next."""

from typing import Any

import pytest

from search.cli.app import app
from search.findings.findings import Findings
from search.glance.evidence import Evidence
from search.glance.steps import Asked, steps
from tests.found import found, gain_of, retrain_of
from trainables.scoring.scores import Mark


def next_of(findings: Findings, asked: Asked | None = None) -> list[str]:
    given = steps(findings, Evidence.of(findings), asked or Asked(study="pocket"))
    return [step.command.removeprefix("transfer-search ") for step in given]


def test_each_standing_has_its_next_command(planted: Any) -> None:
    everything = "report pocket --full"
    assert next_of(found(planted)) == ["retrain pocket", everything]
    assert next_of(found(planted, state="running")) == ["run pocket", everything]
    assert next_of(found(planted, ())) == [everything]
    lost = (planted.scored(0, 0.3, None, mark=Mark.COLLAPSED),)
    assert next_of(found(planted, lost)) == [everything]
    for mean, half, expected in (
        (0.05, 0.02, ["predict models:/pocket-rel@champion ROWS.jsonl", everything]),
        (0.01, 0.02, ["retrain pocket --seeds 6", everything]),
        (-0.05, 0.02, [everything]),
    ):
        retrains = (retrain_of(gain_of(mean, half)),)
        assert next_of(found(planted, retrains=retrains)) == expected


def test_a_baseline_that_was_retrained_has_a_model(planted: Any) -> None:
    retrained = retrain_of(None, label=None)
    assert next_of(found(planted, planted.study_rows()[:2], retrains=(retrained,))) == [
        "predict models:/pocket-rel@champion ROWS.jsonl",
        "report pocket --full",
    ]


def test_a_command_finds_the_study_again_and_shows_no_password(planted: Any) -> None:
    asked = Asked(
        study="my study.toml",
        home="/data/a b",
        experiment="x",
        tracking_uri="https://me:secret@mlflow.example",
    )
    (first, last) = next_of(found(planted), asked)
    assert first.startswith("retrain 'my study.toml' --home '/data/a b' --experiment x ")
    assert "secret" not in first + last
    asking = next_of(found(planted, retrains=(retrain_of(gain_of(0.1, 0.05)),)), asked)[0]
    assert "--experiment" not in asking


@pytest.mark.parametrize("verb", ["run", "retrain", "report", "predict"])
def test_the_commands_are_there(verb: str) -> None:
    assert verb in {
        command.name or command.callback.__name__ for command in app.registered_commands
    }
