"""What commands share: how they print."""

import json

import pytest

from search.cli.options import output


def test_json_alone_or_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    output({"a": "é"}, True, lambda console: console.print("shown"))
    assert json.loads(capsys.readouterr().out) == {"a": "é"}
    output({"a": "é"}, False, lambda console: console.print("shown"))
    assert capsys.readouterr().out == "shown\n"
    with pytest.raises(ValueError, match="JSON"):
        output({"a": float("nan")}, True, lambda console: None)
