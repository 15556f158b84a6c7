"""Standard streams that cannot take every text, are full, closed or have no reader."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from search.display.streams import ESCAPED, prepare_streams, takes_unicode

PROGRAM = [sys.executable, "-m", "search.cli"]
# What a terminal that is not UTF-8 has set; LC_ALL=C alone makes Python 3 use UTF-8.
ENCODINGS = [
    {"PYTHONIOENCODING": "latin-1"},
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "cp1252:strict"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "POSIX", "PYTHONIOENCODING": "ascii:strict"},
]


def run(
    *arguments: object, env: dict[str, str] | None = None, to: str = ""
) -> subprocess.CompletedProcess[bytes]:
    """Run the program with another environment; `to` is the rest of a shell's line."""
    line = [*PROGRAM, *map(str, arguments)]
    environment = {**os.environ, "COLUMNS": "80", **(env or {})}
    shell = ["bash", "-c", f'set -o pipefail; "$@" {to}', "bash", *line]
    return subprocess.run(shell, capture_output=True, env=environment)


def escaped(text: str, encoding: str) -> str:
    return text.encode(encoding, ESCAPED).decode(encoding)


@given(st.text(), st.sampled_from(["ascii", "latin-1", "cp1252", "utf-8"]))
def test_json_stays_json_in_every_encoding(text: str, encoding: str) -> None:
    prepare_streams()
    content = {"text": text}
    assert json.loads(escaped(json.dumps(content, ensure_ascii=False), encoding)) == content


def test_half_a_surrogate_pair_is_written_too() -> None:
    prepare_streams()
    assert escaped("a\ud83d→😀", "ascii") == "a\\ud83d\\u2192\\ud83d\\ude00"
    assert escaped("→\udcff", "utf-8") == "→\\udcff"


def test_a_stream_that_is_closed_drops_what_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    prepare_streams()
    assert sys.stdin.read() == ""
    assert sys.stdout.write("text") == 4
    for name in ("stdin", "stdout", "stderr"):
        getattr(sys, name).close()


def test_which_streams_take_every_character() -> None:
    for encoding, takes in (("utf-8", True), ("utf-16", True), ("ascii", False), ("cp1252", False)):
        assert takes_unicode(io.TextIOWrapper(io.BytesIO(), encoding)) is takes
    assert not takes_unicode(io.StringIO())


@pytest.mark.parametrize("env", ENCODINGS, ids=str)
@pytest.mark.parametrize("arguments", [("plan", "pocket"), ("tasks",), ("--help",)], ids=str)
def test_no_terminal_breaks_a_command(env: dict[str, str], arguments: tuple[str, ...]) -> None:
    done = run(*arguments, env=env)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout


@pytest.mark.parametrize("env", ENCODINGS, ids=str)
def test_a_mistake_in_any_script_is_one_line(env: dict[str, str]) -> None:
    done = run("plan", "größe→研究", env=env)
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert done.stderr.startswith(b"transfer-search: ")


def test_an_argument_that_is_no_text_is_refused() -> None:
    for arguments in (("plan", b"\xff.toml"), ("report", "x", b"--home=\xfe")):
        done = subprocess.run([*PROGRAM, *arguments], capture_output=True)
        assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
        assert b"is not text" in done.stderr


def test_a_manifest_is_the_same_in_every_encoding(tmp_path: Path) -> None:
    study = tmp_path / "mine.toml"
    shipped = Path(__file__).parents[3] / "spaces" / "studies" / "pocket.toml"
    study.write_text(shipped.read_text() + "# größe → 研究 😀\n")
    plain = run("k8s", "render", study)
    assert plain.returncode == 0
    assert "größe → 研究 😀" in plain.stdout.decode()
    for env in ENCODINGS:
        done = run("k8s", "render", study, env=env)
        assert (done.returncode, done.stderr) == (0, b"")
        assert list(yaml.safe_load_all(done.stdout.decode("ascii"))) == list(
            yaml.safe_load_all(plain.stdout.decode())
        )


@pytest.mark.parametrize(
    "arguments", [("tasks",), ("tasks", "--json"), ("k8s", "render", "pocket"), ("--version",)]
)
def test_output_to_a_full_disk(arguments: tuple[str, ...]) -> None:
    done = run(*arguments, to="> /dev/full")
    assert done.returncode == 5
    assert done.stderr.count(b"\n") == 1
    assert b"No space left on device" in done.stderr
    assert run(*arguments, to="> /dev/full 2>&1").returncode == 5


@pytest.mark.parametrize(
    "arguments", [("tasks",), ("tasks", "--json"), ("k8s", "render", "pocket")]
)
def test_output_without_a_reader(arguments: tuple[str, ...]) -> None:
    done = run(*arguments, to="| true")
    assert done.returncode == 141
    assert done.stderr.count(b"\n") == 1
    assert b"the reader of the output has gone" in done.stderr


def test_output_that_is_closed(tmp_path: Path) -> None:
    for to in (">&-", "2>&-", "<&-", ">&- 2>&- <&-"):
        assert run("tasks", to=to).returncode == 0
        assert run("plan", "nosuch", to=to).returncode == 2
