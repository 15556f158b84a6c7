import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    for code, split in (("en", "train"), ("en", "test"), ("sv", "test")):
        path = tmp_path / "tickets" / code / f"{split}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        made = [
            {"text": f"Row {n}", "note": "n", "category": ("bug", "wish")[n % 2]} for n in range(12)
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in made))
    return tmp_path / "tickets"


def test_what_it_guessed_and_the_next_command(
    cli: Callable[..., Any], rows: Path, tmp_path: Path
) -> None:
    result = cli("init", tmp_path / "new", "--rows", rows, "--encoder", "pocket")
    path = tmp_path / "new" / "study.toml"
    assert result.code == 0
    assert result.out.splitlines() == [
        "en (English): train 12, test 12",
        "sv (Swedish): test 12",
        "task 'tickets': classification, 2 labels: bug, wish",
        "columns: sentence1 = text, label = category",
        "columns that are not read: note",
        "trained in en, scored in sv",
        "warning: fewer than 200 rows to score in en sv: no difference of a few points will be "
        "significant",
        f"wrote {path}; read it and change what does not fit",
        f"next: transfer-search data check {path}",
        f"then: transfer-search plan {path}",
    ]
    again = cli("init", tmp_path / "new", "--rows", rows)
    assert again.code == 2
    assert again.err.startswith(f"transfer-search: {path} exists")


def test_rows_in_the_folder_need_no_option(
    cli: Callable[..., Any], rows: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    rows.rename(tmp_path / "mine" / "rows")
    assert cli("init", tmp_path / "mine").code == 0
    assert 'rows = "rows"' in (tmp_path / "mine" / "study.toml").read_text()


def test_without_rows_it_says_what_to_give(cli: Callable[..., Any], tmp_path: Path) -> None:
    """Nobody can answer a question here, so that none is asked."""
    result = cli("init", tmp_path)
    assert result.code == 2
    assert result.err.startswith(f"transfer-search: there is no folder '{tmp_path}/rows'; put the")
    assert "by --rows" in result.err
    assert len(result.err.splitlines()) == 1


def test_on_a_terminal_it_asks_for_the_rows(
    cli: Callable[..., Any], rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal(f"{rows}\n"))
    assert cli("init", tmp_path / "asked").code == 0
    assert (tmp_path / "asked" / "study.toml").exists()
