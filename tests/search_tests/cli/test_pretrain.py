"""`pretrain` as a user types it; what it trains is test_pretrain.py's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from trainables.encoders.model import BaseEncoder

Run = Callable[..., Any]

SMALL = ("--steps", 3, "--hidden-size", 16, "--layers", 1, "--heads", 2, "--vocabulary", 900)


def test_on_a_text_task(cli: Run, mirror: Path, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    languages = ("--language", "en", "--language", "de", "--pair-share", 0.5)
    options = ("--task", "flores", *languages, "--parallel-embeddings", "--data-root", mirror)
    done = cli("pretrain", folder, *options, *SMALL)
    assert done.code == 0, done.err
    assert done.out.endswith(f"wrote {folder}\n")
    assert BaseEncoder.load(str(folder)).num_layers == 1


def test_on_any_data_set(cli: Run, mirror: Path, tmp_path: Path) -> None:
    column = ("--config", "tatoeba.jav", "--split", "validation", "--column", "target_sentence")
    options = ("--dataset", "google/xtreme", *column, "--data-root", mirror)
    done = cli("pretrain", tmp_path / "base", *options, *SMALL)
    assert done.code == 0, done.err
    assert (tmp_path / "base/model.safetensors").is_file()


def test_mistakes_are_a_line(cli: Run, mirror: Path, tmp_path: Path) -> None:
    folder, files = tmp_path / "base", ("--text", "a.txt")
    cases = [
        (("--task", "flores", *files), "name one text"),
        (("--task", "floress"), "Did you mean 'flores'"),
        ((*files, "--parallel-embeddings"), "needs a text task"),
        (("--task", "flores", "--language", "wo", "--data-root", mirror), "has no rows in wo"),
    ]
    for arguments, message in cases:
        done = cli("pretrain", folder, *arguments)
        assert (done.code, done.out) == (2, "")
        assert message in done.err
        assert done.err.count("\n") == 1
    assert not list(tmp_path.iterdir())
