"""The options of `plan`: what they add, as text and as JSON, and that nothing is left behind."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

StudyFile = Callable[..., Path]
Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def _no_default_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRANSFER_SEARCH_HOME", str(tmp_path / "home"))


def test_explain_shows_the_ranks(cli: Run, study_file: StudyFile, tmp_path: Path) -> None:
    file = study_file(study={"priors": True})
    result = cli("plan", file, "--explain")
    assert result.code == 0
    assert "the space has" in result.out
    assert "Intermediate options as the frozen encoder sees them" in result.out
    assert "tried first, after the baselines and the points:" in result.out
    assert "looking at rows: 4/4" in result.err
    assert list(tmp_path.iterdir()) == [file], "nothing is written"


def test_explain_as_json(cli: Run, study_file: StudyFile) -> None:
    found = json.loads(cli("plan", study_file(), "--explain", "--json").out)
    assert [row["place"] for row in found["priors"]["options"]] == [1, 2, 3]
    assert found["num_trials"] == 5
    assert "priors" not in json.loads(cli("plan", study_file(), "--json").out)


def test_measure_says_how_long(cli: Run, study_file: StudyFile, tmp_path: Path) -> None:
    file = study_file(space={"intermediate": ["none", "rel"], "targets": ["coh"]})
    result = cli("plan", file, "--measure")
    assert result.code == 0
    assert "5 trials, " in result.out
    assert "of training and" in result.out
    assert "measuring: 3/3" in result.err
    assert list(tmp_path.iterdir()) == [file], "nothing is written"


def test_what_does_not_fit_here_is_not_measured(cli: Run, study_file: StudyFile) -> None:
    result = cli("plan", study_file(resources={"cpus_per_worker": 4096}), "--measure", "--json")
    assert (result.code, result.out) == (2, "")
    assert "this machine has" in result.err


@pytest.fixture
def on_rows(study_file: StudyFile, mirror: Path) -> Callable[..., Path]:
    """A study of the mirror's POS and Tatoeba; keywords replace keys of its tables."""

    def write(**tables: dict[str, Any]) -> Path:
        tables.setdefault("study", {})["data_root"] = str(mirror)
        space = {"intermediate": ["none", "csqa"], "targets": ["udpos", "tatoeba"]}
        return study_file(space=space, **tables)

    return write


def test_rows_are_checked_with_the_encoders_tokenizer(
    cli: Run, on_rows: Callable[..., Path], tmp_path: Path
) -> None:
    """The small base has read no Hindi, and the mirror has no Thai."""
    file = on_rows(evaluation={"languages": ["de", "hi", "th"]})
    result = cli("plan", file, "--rows", "--json")
    assert "checking rows: 4/4" in result.err
    assert "tokenising a sample: 4/4" in result.err
    warnings = json.loads(result.out)["warnings"]
    assert [line for line in warnings if line.startswith("udpos has no validation rows in th")]
    (cut,) = [line for line in warnings if "csqa, train rows: rows truncated to max_length" in line]
    (unknown,) = [line for line in warnings if "udpos, validation rows: tokens" in line]
    assert re.search(r"tokenizer does not know: \d\d\.\d% in hi", unknown)
    assert re.search(r"truncated to max_length \(64 tokens\): \d\d% in en", cut)
    assert list(tmp_path.iterdir()) == [file], "nothing is written"


def test_a_retrieval_layer_that_the_encoder_lacks(cli: Run, on_rows: Callable[..., Path]) -> None:
    file = on_rows(evaluation={"languages": ["de"], "retrieval_layer": 14})
    assert cli("plan", file).code == 0
    result = cli("plan", file, "--rows")
    assert (result.code, result.out) == (2, "")
    assert "evaluation.retrieval_layer: " in result.err


def test_without_the_encoder_rows_alone_are_checked(
    cli: Run, on_rows: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    file = on_rows(study={"encoder": "our/unheard-of"}, evaluation={"languages": ["de", "th"]})
    result = cli("plan", file, "--rows")
    assert result.code == 0
    assert "udpos has no validation rows in th" in result.out
    assert "the encoder is not on this machine yet" in result.out


def test_a_tokenizer_without_a_mask_is_refused_before_anything_starts(
    cli: Run, study_file: StudyFile, small_base: Path, tmp_path: Path
) -> None:
    """Also where only the text of `[space.mlm]` masks tokens."""
    from transformers import PreTrainedTokenizerFast

    encoder = shutil.copytree(small_base, tmp_path / "no-mask")
    kept = {"pad_token": "<pad>", "unk_token": "<unk>", "sep_token": "</s>"}
    file = str(encoder / "tokenizer.json")
    PreTrainedTokenizerFast(tokenizer_file=file, **kept).save_pretrained(encoder)
    study = study_file(
        study={"encoder": str(encoder)}, space__mlm={"text": "text", "shares": [0.3]}
    )
    home = tmp_path / "home"
    for command in (("plan", study, "--rows"), ("run", study), ("plan", study, "--measure")):
        result = cli(*command)
        assert (result.code, result.out) == (2, "")
        assert "'text' masks tokens, but the encoder's tokenizer has no mask_token" in result.err
        assert "Traceback" not in result.err
    assert not list(home.rglob("*.safetensors"))


def test_code_of_an_encoder_is_not_run_whatever_is_typed(
    study_file: StudyFile, small_base: Path, tmp_path: Path
) -> None:
    encoder, marker = shutil.copytree(small_base, tmp_path / "own"), tmp_path / "ran"
    (encoder / "own.py").write_text(f"open({str(marker)!r}, 'w')")
    config = json.loads((encoder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.C", "AutoModel": "own.M"}}
    (encoder / "config.json").write_text(json.dumps(config))
    study = study_file(study={"encoder": str(encoder)})
    answers = tmp_path / "answers"
    answers.write_text("yes\n" * 50)
    with answers.open("rb") as typed:
        command = [sys.executable, "-m", "search.cli", "plan", str(study), "--rows"]
        ended = subprocess.run(command, stdin=typed, capture_output=True, text=True, check=False)
        assert os.lseek(typed.fileno(), 0, os.SEEK_CUR) == 0, "the terminal was read"
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "such code is never run" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not marker.exists()
