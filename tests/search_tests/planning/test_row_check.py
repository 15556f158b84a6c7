"""Rows and tokenizer before a study starts; on real rows in cli/test_plan.py."""

from collections.abc import Callable
from pathlib import Path

import pytest

from search.callbacks import StartCallbacks
from search.home import Home
from search.planning.row_check import NO_ENCODER, check_rows
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings

Settings = Callable[..., StudySettings]


def test_an_encoder_that_is_here_is_checked(
    settings_of: Settings, small_base: Path, tmp_path: Path
) -> None:
    home, callbacks = Home.of(tmp_path / "home"), StartCallbacks()
    settings = settings_of(study={"encoder": str(small_base)})
    assert NO_ENCODER not in check_rows(settings, home, callbacks)
    layer = settings_of(study={"encoder": str(small_base)}, evaluation={"retrieval_layer": 14})
    with pytest.raises(Refusal, match=r"evaluation\.retrieval_layer"):
        check_rows(layer, home, callbacks)
    assert not list(tmp_path.iterdir())


def test_an_encoder_that_has_to_be_made_is_not(settings_of: Settings, tmp_path: Path) -> None:
    warnings = check_rows(
        settings_of(study={"encoder": "pocket"}), Home.of(tmp_path / "home"), StartCallbacks()
    )
    assert warnings[-1] == NO_ENCODER
    assert not list(tmp_path.iterdir())
