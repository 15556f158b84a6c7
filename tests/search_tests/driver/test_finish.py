"""The end of a search; what it leaves is asked of a whole search in test_runner.py."""

from types import SimpleNamespace
from typing import Any

import pytest

from search.driver.finish import finish_study
from search.record.address import ExperimentAddress
from spaces.refusal import Refusal


class Waiting:
    """A record that MLflow does not take."""

    pending = 3

    def drain(self, timeout: float) -> bool:
        return False


def test_mlflow_away_at_the_end() -> None:
    record: Any = Waiting()
    started: Any = SimpleNamespace(
        address=ExperimentAddress("https://me:hunter2@m").for_study("tiny")
    )
    with pytest.raises(Refusal, match="searched to its end, but 3 records wait") as caught:
        finish_study(started, record)
    assert "hunter2" not in str(caught.value)
