"""A record of the study `pocket` that sends what it gets."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from search.record.address import ExperimentAddress
from search.record.writer import RecordWriter

EXPERIMENT = "transfer-search"


@pytest.fixture
def record(uri: str, tmp_path: Path) -> Iterator[RecordWriter]:
    opened = RecordWriter.open(
        ExperimentAddress(uri, EXPERIMENT).for_study("pocket"), outbox=tmp_path / "outbox.jsonl"
    )
    yield opened
    opened.close(10)
