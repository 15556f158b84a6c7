"""Odd values for every argument and option of every command: one line and exit code 2, or an
answer; never a traceback."""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from search.cli.app import app

Run = Callable[..., Any]
Command = Any  # click's, of which typer has its own copy

# Text, numbers, files, addresses and names that none of the options means.
ODD = [
    *("", " ", "x" * 5000, "-1", "1e3", "nan", "99999999999999999999", "null", "no", "%41", "?#"),
    *("é😀", "\x1b[31mred", "a\nb", "'\"", "\ud800", "/dev/zero", "/dev/null", "/", "../.."),
    *("folder", "file", "bytes", "pipe", "big.toml", "/proc/self/mem", "/missing/x/y"),
    *("http://127.0.0.1:9", "http://[", "sqlite:////dev/null", "sqlite:///folder", "file:///x"),
    *("s3://", "models:/", "models:/x/1", "models:/x@champion", "postgresql://u:p@127.0.0.1:9/x"),
]
# Whatever else they are given, these commands would train.
TRAINING = {"run", "retrain", "pretrain", "submit"}
USUAL = {"study": "small.toml", "studies": "small", "model": "folder", "folder": "new"}
PER_COMMAND = 12  # cases of each command, drawn by its name


@pytest.fixture
def odd_folder(tmp_path: Path, study_file: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a study and with files that are none."""
    study_file()
    (tmp_path / "file").write_text("x")
    (tmp_path / "bytes").write_bytes(bytes(range(256)) * 100)
    (tmp_path / "big.toml").write_text("a = 1\n" * 2_000_000)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr("spaces.files.WAIT_SECONDS", 0.05)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def leaves(
    command: Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Command]]:
    """Every command with its words."""
    for name, inner in getattr(command, "commands", {}).items():
        yield from leaves(inner, (*path, name))
    if not hasattr(command, "commands"):
        yield path, command


def cases(path: tuple[str, ...], command: Command) -> list[list[str]]:
    """Every argument and option of a command with every odd value, all others as usual."""
    places = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
    needed = [f"{p.opts[0]}=coh" for p in options if p.required]
    usual = [USUAL.get(p.name, "small.toml") for p in places if p.required]
    found = []
    for index in range(len(places)):
        for value in ODD:
            given = [*usual[:index], value, *usual[index + 1 :]]
            found.append([*path, *needed, "--", *given])
    for option in options:
        if not option.is_flag:
            found += [[*path, *needed, f"{option.opts[0]}={value}", *usual] for value in ODD]
    return found


COMMANDS = {
    " ".join(path): cases(path, command) for path, command in leaves(typer.main.get_command(app))
}


def is_harmless(arguments: list[str]) -> bool:
    # Explaining and measuring load an encoder; `predict -` and a pipe without a writer would wait.
    return not {"--explain", "--measure", "-"} & set(arguments)


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - TRAINING))
def test_odd_values_end_in_one_line(command: str, cli: Run, odd_folder: Path) -> None:
    drawn = [case for case in COMMANDS[command] if is_harmless(case)]
    random.Random(command).shuffle(drawn)
    before, written = sorted(odd_folder.iterdir()), {"new"}
    for arguments in drawn[:PER_COMMAND]:
        result = cli(*arguments)
        assert result.code in (0, 2), (arguments, result.err[:300])
        if command == "data bundle" and result.code == 0:  # it writes any folder that it is told
            written.add(Path(arguments[-1]).parts[0])
        if result.code == 2 and not result.out:
            assert result.err.count("\n") == 1, (arguments, result.err[:300])
            assert len(result.err) < 3200
        assert "Traceback" not in result.err + result.out
        new = {path.name for path in odd_folder.iterdir() if path not in before}
        assert new <= written, (arguments, new)


@pytest.mark.parametrize("command", sorted(TRAINING - {"pretrain", "submit"}))
def test_odd_studies_start_nothing(command: str, cli: Run, odd_folder: Path) -> None:
    for value in [odd for odd in ODD if odd != "small.toml"]:
        result = cli(command, "--", value)
        assert (result.code, result.out) == (2, ""), (value, result.err[:300])
        assert result.err.count("\n") == 1, (value, result.err[:300])
    assert not (odd_folder / ".transfer-search").exists()
