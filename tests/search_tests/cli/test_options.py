"""What commands share: which settings they load, and how they print."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from search.cli.options import load, output
from spaces.refusal import Refusal


def test_a_name_and_a_data_root_in_place_of_the_files(
    study_file: Callable[..., Path], tmp_path: Path
) -> None:
    file = study_file(study={"data_root": "rows"})
    assert load(str(file), None, None).study.data_root == str(file.parent.resolve() / "rows")
    settings = load(str(file), "other", str(tmp_path))
    assert (settings.study.name, settings.study.data_root) == ("other", str(tmp_path.resolve()))
    with pytest.raises(Refusal, match=r"study\.name"):
        load(str(file), "not a name", None)


def test_json_alone_or_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    output({"a": "é"}, True, lambda console: console.print("shown"))
    assert json.loads(capsys.readouterr().out) == {"a": "é"}
    output({"a": "é"}, False, lambda console: console.print("shown"))
    assert capsys.readouterr().out == "shown\n"
    with pytest.raises(ValueError, match="JSON"):
        output({"a": float("nan")}, True, lambda console: None)
