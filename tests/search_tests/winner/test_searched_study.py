"""Which trial of a recorded study is asked for, for all its targets or for one of them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search.home import Home
from search.trials.feasibility import judge_all
from search.winner.searched_study import SearchedStudy
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings
from trainables.encoders.model import BaseEncoder


def test_the_best_for_one_target(settings_of: Callable[..., StudySettings], planted: Any) -> None:
    settings = settings_of(space={"targets": ["rel", "coh", "retrieval"]})
    rows = planted.study_rows()
    record = planted.record_of(tuple(rows))
    for task in settings.space.targets:
        narrowed = SearchedStudy(record, settings).for_target(task)
        assert narrowed.settings.objective_targets == (task,)
        row = narrowed.choose(None)
        assert row.number == 3
        assert [target.task.name for target in row.plan.targets] == [task]
        scores = next(t for t in rows[3].scores.targets if t.task == task)
        assert row.objective == pytest.approx(scores.zero_shot_mean)
        assert row.scores is not None
        assert row.scores.zero_shot_mean == pytest.approx(scores.zero_shot_mean)
    # The best one of all targets is not the best one for each of them.
    first, *rest = rows[3].scores.targets
    low = replace(first, languages={code: {"accuracy": 0.1} for code in first.languages})
    worse = replace(rows[3], scores=replace(rows[3].scores, targets=(low, *rest)))
    searched = SearchedStudy(planted.record_of((*rows[:3], worse, *rows[4:])), settings)
    assert searched.for_target("rel").choose(None).number == 2
    assert searched.for_target("coh").choose(None).number == 3


def test_one_target_is_judged_by_what_itself_drops(
    settings_of: Callable[..., StudySettings], planted: Any
) -> None:
    """Of two objectives and a limit, where trial 3 falls in one language of one target."""
    settings = settings_of(
        space={"targets": ["rel", "coh", "retrieval"]},
        evaluation={"objectives": ["hours", "zero_shot_mean"], "max_drop": 0.01},
    )
    rows = [
        replace(row, values={"hours": 1 / row.number, "zero_shot_mean": row.objective})
        for row in (planted.scored(1, 0.52, None), planted.scored(3, 0.61, "fact"))
    ]
    rel, *rest = rows[1].scores.targets
    low = replace(rel, languages={**rel.languages, "tr": {"accuracy": 0.1}})
    rows[1] = replace(rows[1], scores=replace(rows[1].scores, targets=(low, *rest)))
    record = planted.record_of(judge_all(rows, settings.evaluation))
    assert [row.is_feasible for row in record.rows] == [True, False]
    searched = SearchedStudy(record, settings)
    assert searched.choose(None).number == 1
    assert searched.choose(3).largest_drop == pytest.approx(0.32)
    assert searched.for_target("rel").choose(None).number == 1
    assert searched.for_target("coh").choose(None).number == 3


def test_only_the_encoder_of_the_record_is_opened(
    settings_of: Callable[..., StudySettings], planted: Any, small_base: Path, tmp_path: Path
) -> None:
    settings = settings_of(study={"encoder": "our/unknown"}).with_encoder(small_base)
    base, record = BaseEncoder.load(str(small_base)), planted.record_of(())
    world = {"encoder": base.weights_digest, "tokenizer": base.tokenizer_digest}
    home = Home.of(tmp_path)
    for known in ({}, world, {**world, "config": base.settings}):
        folder, _ = SearchedStudy(replace(record, world=known), settings).open(home)
        assert folder == str(small_base)
    other = replace(record, world={**world, "config": {**base.settings, "hidden_act": "relu"}})
    with pytest.raises(
        Refusal, match=r"is not that of study 'pocket': the digest of its config is"
    ):
        SearchedStudy(other, settings).open(home)
    SearchedStudy(other, settings).open(home, any_encoder=True)


def test_what_was_not_searched_is_refused_with_what_was(
    settings_of: Callable[..., StudySettings], planted: Any
) -> None:
    searched = SearchedStudy(planted.record_of(tuple(planted.study_rows())), settings_of())
    with pytest.raises(Refusal, match="unknown target of study 'pocket' 'rell'"):
        searched.check_target("rell")
    with pytest.raises(Refusal, match="unknown target of study 'pocket' 'rell'"):
        searched.for_target("rell")
    with pytest.raises(Refusal, match="unknown scored trial of study 'pocket' '99'"):
        searched.choose(99)
    searched.check_target("rel")


def test_it_opens_with_the_encoder_that_the_study_names(
    settings_of: Callable[..., StudySettings], planted: Any, small_base: Path, tmp_path: Path
) -> None:
    settings = settings_of(study={"encoder": str(small_base)})
    searched = SearchedStudy(planted.record_of(tuple(planted.study_rows())), settings)
    encoder, context = searched.open(Home.of(tmp_path))
    assert encoder == str(small_base)
    assert (context.settings, context.home, context.workers.size) == (settings, tmp_path, 1)
