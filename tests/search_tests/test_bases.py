"""Which folder a study's encoder stands for."""

from collections.abc import Callable
from pathlib import Path

import pytest

from search.bases import find_encoder
from search.home import Home
from spaces.study import StudySettings


@pytest.mark.parametrize("encoder", ["xlm-roberta-large", "/folder/of/mine", "pocket-like"])
def test_any_other_name_stands_for_itself(
    encoder: str, settings_of: Callable[..., StudySettings], tmp_path: Path
) -> None:
    settings = settings_of(study={"encoder": encoder})
    assert find_encoder(settings, Home.of(tmp_path / "home")) == encoder
    assert not list(tmp_path.iterdir())
