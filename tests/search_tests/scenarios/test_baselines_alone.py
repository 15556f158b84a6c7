"""A study without intermediate training: baselines alone, through every command."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

TRAINING = {"num_steps": 4, "batch_size": 8, "max_length": 32, "max_train_rows": 40}


@pytest.fixture
def file(
    tmp_path: Path, small_base: Path, settings_of: Callable[..., Any], write_tables: Any
) -> Path:
    settings = settings_of(
        study={"encoder": str(small_base)},
        space={
            "intermediate": ["none"],
            "target_learning_rate": [1e-3, 2e-3],
            "targets": ["coh", "retrieval"],
            "points": [],
        },
        training={"intermediate": TRAINING, "target": TRAINING},
        evaluation={"languages": ["de", "fi"], "max_rows": 20},
        budget={"num_trials": 2},
    )
    content = settings.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    return write_tables(tmp_path / "baselines.toml", content)


def test_baselines_alone_are_a_study(
    file: Path, tmp_path: Path, command: Callable[..., list[str]], cli: Callable[..., Any]
) -> None:
    home = tmp_path / "home"
    ran = subprocess.run(
        command("run", file, "--home", home), capture_output=True, text=True, timeout=500
    )
    assert ran.returncode == 0, ran.stderr
    for name in ("plan", "report", "status"):
        result = cli(name, file if name == "plan" else "tiny", "--home", home)
        assert (result.code, result.err) == (0, ""), name
        assert result.out
    shown = json.loads(cli("report", "tiny", "--home", home, "--json").out)
    assert {trial["params"]["intermediate"] for trial in shown["trials"]} == {"none"}
    for name in ("degradation", "transferability"):
        result = cli(name, "tiny", "--home", home)
        assert result.code in (0, 2), name
        assert "Traceback" not in result.err
