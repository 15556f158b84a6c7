"""What is looked at to rank options, and what came out of it on the small base."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.planning.prior_estimates import explain, sources_of
from spaces.study_file.study import StudySettings
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.source import Source
from spaces.tasks.task import Task
from trainables.encoders.model import BaseEncoder
from trainables.features.features import Data
from trainables.rows.rows import Rows

Settings = Callable[..., StudySettings]


@pytest.fixture(scope="module")
def data(small_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Data:
    return Data(tmp_path_factory.mktemp("data"), BaseEncoder.load(str(small_base)))


def test_every_source_is_looked_at_once(settings_of: Settings) -> None:
    space = settings_of(
        space={"intermediate": ["none", "fact", "coh+fact", "fact@de", "all"]},
        training={
            "intermediate": {"num_steps": 1, "batch_size": 1, "max_length": 32},
            "intermediates": {"coh+fact": {"num_steps": 1, "batch_size": 1, "max_length": 48}},
        },
    ).search_space()
    assert sources_of(space) == {
        Source(SHIPPED.get("fact"), "en"): 48,
        Source(SHIPPED.get("coh"), "en"): 48,
        Source(SHIPPED.get("fact"), "de"): 32,
    }


def test_the_small_base_ranks_the_options(
    settings_of: Settings, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: set[tuple[str, str, str]] = set()
    whole = Rows.load

    def load(self: Rows, task: Task, language: str, split: str) -> Any:
        read.add((task.name, language, split))
        return whole(self, task, language, split)

    monkeypatch.setattr(Rows, "load", load)
    done: list[tuple[int, int]] = []
    settings = settings_of(evaluation={"selection": "source_dev", "languages": ["de", "es"]})
    priors = explain(settings, data, on_done=lambda *counts: done.append(counts))
    assert priors is not None
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert read == {(task, "en", "validation") for task in ("fact", "coh", "rel")}
    assert {row.option for row in priors.options} == {"fact", "coh", "coh+fact"}
    for row in priors.options:
        assert row.logme >= 0
        assert 0 < row.similarity <= 1
        assert row.similarity_by_target.keys() == {"rel"}
        assert row.ranks.keys() == {"logme", "similarity"}
    assert any("retrieval is left out of the comparison" in note for note in priors.notes)
    assert any("typology does not distinguish them" in note for note in priors.notes)
    assert priors.sources["fact@en"].rows.endswith("validation rows")
    assert len(priors.first) == 2
    assert explain(settings, data) == priors, "the same again"


def test_sources_in_several_languages_are_near_or_far(settings_of: Settings, data: Data) -> None:
    settings = settings_of(
        space={"intermediate": ["none", "fact", "fact@de"], "targets": ["retrieval"]},
        evaluation={"languages": ["de", "es"]},
    )
    priors = explain(settings, data)
    assert priors is not None
    near = {row.option: row.typology for row in priors.options}
    assert 0 < near["fact"] < near["fact@de"] < 1, "German is a zero-shot language itself"


def test_it_stops_when_asked_to(settings_of: Settings, data: Data) -> None:
    asked = iter([False, True])
    assert explain(settings_of(), data, is_stopping=lambda: next(asked)) is None
