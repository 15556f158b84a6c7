"""Which folder a study's encoder stands for."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from search.bases import LINES, _steps, find_encoder
from search.home import Home
from spaces.study import StudySettings


@pytest.mark.parametrize("encoder", ["xlm-roberta-large", "/folder/of/mine", "pocket-like"])
def test_any_other_name_stands_for_itself(
    encoder: str, settings_of: Callable[..., StudySettings], tmp_path: Path
) -> None:
    settings = settings_of(study={"encoder": encoder})
    assert find_encoder(settings, Home.of(tmp_path / "home")) == encoder
    assert not list(tmp_path.iterdir())


def test_lines_without_a_terminal() -> None:
    text = io.StringIO()
    with _steps(Console(file=text), 100) as on_step:
        for step in range(1, 101):
            on_step(step)
    lines = text.getvalue().splitlines()
    assert len(lines) == LINES
    assert lines[0].startswith("pretraining: step 10/100, about ")
    assert lines[-1].endswith("about 0 s left")


def test_a_base_that_is_there_shows_nothing() -> None:
    text = io.StringIO()
    with _steps(Console(file=text, force_terminal=True), 100):
        pass
    assert "pretraining" not in text.getvalue()
