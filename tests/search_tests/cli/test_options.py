"""What commands share: how they print."""

import errno
import json
from pathlib import Path
from unittest.mock import patch

import pytest

from search.cli.options import output, write_page
from spaces.refusal import Refusal


def test_json_alone_or_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    output({"a": "é"}, True, lambda console: console.print("shown"))
    assert json.loads(capsys.readouterr().out) == {"a": "é"}
    output({"a": "é"}, False, lambda console: console.print("shown"))
    assert capsys.readouterr().out == "shown\n"
    with pytest.raises(ValueError, match="JSON"):
        output({"a": float("nan")}, True, lambda console: None)


def test_a_page_that_cannot_be_written_is_not_left_behind(tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", "é")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == "é"
    with pytest.raises(Refusal, match="x cannot be written: Not a directory"):
        write_page(tmp_path / "page.html" / "x", "é")
    (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(Refusal, match="full cannot be written: No space left on device"):
        write_page(tmp_path / "full", "é")
    assert (tmp_path / "full").is_symlink(), "only a new file is removed"

    def fill(path: Path, text: str, encoding: str) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with patch.object(Path, "write_text", fill), pytest.raises(Refusal):
        write_page(tmp_path / "new.html", "é")
    assert not (tmp_path / "new.html").exists()
