"""`pretrain` as a user types it; what it trains is test_pretrain.py's."""

import subprocess
import sys
from pathlib import Path

from trainables.model import BaseEncoder

SMALL = ("--steps", 3, "--hidden-size", 16, "--layers", 1, "--heads", 2, "--vocabulary", 900)


def pretrain(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "search.cli", "pretrain", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_on_a_text_task(mirror: Path, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    languages = ("--language", "en", "--language", "de", "--pair-share", 0.5)
    options = ("--task", "flores", *languages, "--parallel-embeddings", "--data-root", mirror)
    done = pretrain(folder, *options, *SMALL)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"wrote {folder}\n")
    assert BaseEncoder.load(str(folder)).num_layers == 1


def test_on_any_data_set(mirror: Path, tmp_path: Path) -> None:
    column = ("--config", "tatoeba.jav", "--split", "validation", "--column", "target_sentence")
    options = ("--dataset", "google/xtreme", *column, "--data-root", mirror)
    done = pretrain(tmp_path / "base", *options, *SMALL)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "base/model.safetensors").is_file()


def test_mistakes_are_a_line(mirror: Path, tmp_path: Path) -> None:
    folder, files = tmp_path / "base", ("--text", "a.txt")
    cases = [
        (("--task", "flores", *files), "name one text"),
        (("--task", "floress"), "Did you mean 'flores'"),
        ((*files, "--parallel-embeddings"), "need a text task"),
        (("--task", "flores", "--language", "wo", "--data-root", mirror), "has no rows in wo"),
    ]
    for arguments, message in cases:
        done = pretrain(folder, *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
