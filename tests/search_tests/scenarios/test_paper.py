"""The experiment of the paper with all its parts: the study `paper`, one seed and a few steps a
phase, from the plan to a submission. Rows are real where the mirror has them, and of the hub's own
schema where it has none."""

import json
import random
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.hub_tasks import NLI, XNLI

pytestmark = [pytest.mark.slow, pytest.mark.ray]

Make = Callable[..., Path]
RawRows = list[dict[str, Any]]
Command = Callable[..., str]

NINE = ["anliplus", "mnli", "qqp", "squad", "squad2", "hellaswag", "ccg", "cosmosqa", "csqa"]
TARGETS = ["xnli", "pawsx", "udpos", "panx", "xquad", "mlqa", "tydiqa", "bucc", "tatoeba"]
FOLDERS = {"bucc2018" if name == "bucc" else name for name in TARGETS}
OPTIONS = ["none", "anliplus", "+".join(NINE)]
MASKED = ["de", "en", "hi", "sw"]
WHOLE = (
    "Rowan/hellaswag",
    "allenai/cosmos_qa",
    "facebook/flores",
    "nyu-mll/multi_nli",
    "rajpurkar/squad",
    "rajpurkar/squad_v2",
    "stanfordnlp/snli",
    "tau/commonsense_qa",
)
XTREME = (
    *("PAWS-X.de", "PAWS-X.en", "udpos.English", "udpos.German", "udpos.Hindi"),
    *("PAN-X.de", "PAN-X.en", "PAN-X.sw", "XQuAD.de", "XQuAD.en", "MLQA.de.de", "MLQA.en.en"),
    *("tydiqa", "tatoeba.deu", "tatoeba.swh"),
)
MAX_ROWS = 200
WORDS = ("sea", "cat", "mat", "sun", "dog", "sky")


@pytest.fixture
def root(tmp_path: Path, mirror: Path, make_root: Make) -> Path:
    """A data root in which no task of the paper is missing, in some of its languages."""
    root = tmp_path / "made"
    for name in WHOLE:
        thin_out(root / name, mirror / name, ["*"])
    thin_out(root / "google/xtreme", mirror / "google/xtreme", XTREME)
    rng = random.Random("rows of nobody")
    for code in XNLI:
        splits = {name: nli(rng, 30) for name in ("train", "validation", "test")}
        make_root("facebook/xnli", code, splits, labels={"label": list(NLI)})
    rounds = [f"{split}_r{number}" for split in ("train", "dev", "test") for number in (1, 2, 3)]
    anli = {
        name: [{"uid": f"{name}-{n}", **row} for n, row in enumerate(nli(rng, 20))]
        for name in rounds
    }
    make_root("facebook/anli", "plain_text", anli, labels={"label": list(NLI)})
    qqp = {name: duplicates(rng, 60) for name in ("train", "validation")}
    make_root("nyu-mll/glue", "qqp", qqp, labels={"label": ["not_duplicate", "duplicate"]})
    write_ccgbank(root / "ccgbank", rng)
    for code in SHIPPED.get("bucc").languages:
        write_bucc(root / "bucc2018" / f"{code}-en", code, rng)
    return root


def thin_out(folder: Path, whole: Path, configs: Iterable[str]) -> None:
    """Some configs of a data set with about MAX_ROWS rows of each file, from all over it."""
    folder.mkdir(parents=True)
    (folder / "README.md").symlink_to(whole / "README.md")
    for file in (path for name in configs for path in whole.glob(f"{name}/*.parquet")):
        table = pq.read_table(file)
        rows = range(0, len(table), max(1, len(table) // MAX_ROWS))
        (folder / file.parent.name).mkdir(exist_ok=True)
        pq.write_table(table.take(list(rows)), folder / file.parent.name / file.name)


def text(rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS, k=6))


def nli(rng: random.Random, count: int) -> RawRows:
    return [{"premise": text(rng), "hypothesis": text(rng), "label": n % 3} for n in range(count)]


def duplicates(rng: random.Random, count: int) -> RawRows:
    return [
        {"question1": text(rng), "question2": text(rng), "label": n % 2, "idx": n}
        for n in range(count)
    ]


def write_ccgbank(folder: Path, rng: random.Random) -> None:
    """Sections of ten sentences, of words in three categories."""
    for section in range(24):
        below = folder / "data" / "AUTO" / f"{section:02d}"
        below.mkdir(parents=True)
        lines = []
        for number in range(1, 11):
            words = [
                f"(<L {rng.choice(('N', 'NP', 'N/N'))} A A {rng.choice(WORDS)} N>)"
                for _ in range(5)
            ]
            lines += [f"ID=wsj_{section:02d}01.{number} PARSER=GOLD NUMPARSE=1", " ".join(words)]
        (below / f"wsj_{section:02d}01.auto").write_text("\n".join([*lines, ""]))


def write_bucc(folder: Path, code: str, rng: random.Random) -> None:
    """Thirty sentences a side, of which every second has its like on the other."""
    folder.mkdir(parents=True)
    for split in ("sample", "training"):
        lines = [f"{text(rng)} {number}" for number in range(30)]
        for side in (code, "en"):
            rows = [f"{side}-{n:09d}\t{line}" for n, line in enumerate(lines)]
            (folder / f"{code}-en.{split}.{side}").write_text("\n".join([*rows, ""]))
        gold = [f"{code}-{n:09d}\ten-{n:09d}\n" for n in range(0, 30, 2)]
        (folder / f"{code}-en.{split}.gold").write_text("".join(gold))


def cut(study: dict[str, Any], encoder: Path) -> dict[str, Any]:
    """The shipped study with one seed and three options, on an encoder of seconds, with rates for
    it; so small a model may guess one class of a task that it cannot do, which must not decide."""
    study["study"]["encoder"] = str(encoder)
    del study["study"]["revision"]
    study["space"] |= {"seeds": [1], "intermediate": OPTIONS}
    study["space"] |= {"intermediate_learning_rate": [2e-4], "target_learning_rate": [1e-3]}
    study["space"]["mlm"]["learning_rate"] = [1e-4]
    study["space"]["mlm"]["languages"] = MASKED
    training = study["training"]
    named = training["intermediates"]
    training["intermediates"] = {option: named[option] for option in OPTIONS if option in named}
    recipes = [*training["intermediates"].values(), *training["targets"].values()]
    for recipe in (training["intermediate"], training["target"], *recipes):
        recipe.update(num_steps=8, batch_size=8, max_length=64, max_train_rows=60)
        recipe.pop("evaluate_every", None)
    for role in ("intermediate", "target"):
        training[role] |= {"evaluate_every": 4, "max_dev_rows": 10}
    study["evaluation"]["objective"] = ["udpos", "tatoeba"]
    study["evaluation"] |= {"retrieval_layer": 1, "retrieval_max_length": 64, "max_rows": 20}
    study["resources"] = {"cpus_per_worker": 1}
    study["budget"] = {"num_trials": 6}
    return study


@pytest.fixture
def command(tmp_path: Path, root: Path, small_base: Path, write_tables: Any) -> Command:
    """Runs the command line on the cut study, in a home folder of the test."""
    shipped = (resources.files("spaces") / "studies" / "paper.toml").read_text("utf-8")
    file = write_tables(tmp_path / "paper.toml", cut(tomllib.loads(shipped), small_base))

    def run(name: str, *options: str) -> str:
        words = [sys.executable, "-m", "search.cli", name, str(file), *options]
        places = ["--home", str(tmp_path / "home")]
        if name in ("run", "plan"):
            places += ["--data-root", str(root)]
        done = subprocess.run(
            [*words, *places], capture_output=True, text=True, check=False, timeout=500
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_the_whole_experiment(command: Command, tmp_path: Path) -> None:
    """Baseline, ANLI+ and all nine tasks at once, each without and with masking, and masking alone:
    the nine targets, XTREME's average, nine folders to submit."""
    planned = json.loads(command("plan", "--json"))
    assert (planned["num_trials"], planned["num_plans"], planned["errors"]) == (6, 6, [])
    command("run")
    found = json.loads(command("report", "--json"))
    assert found["state"] == "finished"
    assert [trial["state"] for trial in found["trials"]] == ["scored"] * 6
    check_report(found)
    out = tmp_path / "submission"
    evaluated = json.loads(command("evaluate", "--xtreme", str(out), "--json"))
    assert {"all", "without_retrieval"} < set(evaluated["averages"])
    assert {path.name for path in out.iterdir()} == FOLDERS
    for folder in out.iterdir():
        assert all(file.stat().st_size for file in folder.iterdir())
    labels = (out / "xnli" / "test-sw.tsv").read_text().split()
    assert len(labels) == 30
    assert set(labels) <= set(NLI)


def check_report(found: Any) -> None:
    gains = found["gains"]
    assert list(gains["baseline"]) == TARGETS
    assert all(list(row["gains"]) == TARGETS for row in gains["rows"])
    labels = [row["label"] for row in gains["rows"]]
    assert {"anliplus", "9 tasks", "flores"} < set(labels)
    assert len([label for label in labels if " +flores:" in label]) == 2
    # XQuAD and MLQA share a phase, retrieval has none: six for each of six trials, and the stems.
    assert found["phases"]["trained"] == 6 * 6 + 5
    assert {"all", "without_retrieval", "qa"} < set(found["best"]["averages"])
    warnings = "\n".join(found["warnings"])
    assert "which intermediate anliplus and mnli contain too" in warnings
    assert "which intermediate squad and squad2 contain too" in warnings
