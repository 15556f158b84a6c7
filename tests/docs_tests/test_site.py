"""The documentation is built without a warning, and its pages fetch nothing from elsewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FETCHED = re.compile(
    r"""<(?:script|img|iframe|link(?=[^>]*stylesheet))[^>]*(?:src|href)=["']?http"""
)

RAW = re.compile(r"^(<p>)?(\|[-| ]+\||```)", re.MULTILINE)


def build(config: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config)]
    return subprocess.run(
        [*command, "-d", str(out)],
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_the_site_is_whole_and_needs_no_network(tmp_path: Path) -> None:
    done = build(ROOT / "mkdocs.yml", tmp_path)
    assert done.returncode == 0, done.stderr
    pages = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")}
    assert len(pages) > 20
    assert not [name for name, text in pages.items() if FETCHED.search(text)]
    # A table or a fence without an empty line before it is shown as text.
    assert not [name for name, text in pages.items() if RAW.search(text)]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[there](missing.md)", "missing.md"),
        ("[there](index.md#no-such-part)", "no-such-part"),
    ],
)
def test_a_broken_link_ends_the_build(tmp_path: Path, text: str, complaint: str) -> None:
    assert complaint in _complaints(tmp_path, {"index.md": f"# Home\n\n{text}\n"})


def test_a_page_that_is_in_no_menu_ends_the_build(tmp_path: Path) -> None:
    assert "lost.md" in _complaints(tmp_path, {"index.md": "# Home\n", "lost.md": "# Lost\n"})


def _complaints(folder: Path, pages: dict[str, str]) -> str:
    """What the build says of other pages under our own configuration."""
    (folder / "docs").mkdir()
    for name, text in pages.items():
        (folder / "docs" / name).write_text(text)
    config = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[0]
    (folder / "mkdocs.yml").write_text(f"{config}\nnav:\n  - index.md\n")
    done = build(folder / "mkdocs.yml", folder / "site")
    assert done.returncode == 1
    return done.stderr
