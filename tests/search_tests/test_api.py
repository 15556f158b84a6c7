"""The Python API: fast to import, the same refusals as the command line, the same record."""

import doctest
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pandas as pd
import pytest

from search import api
from search.planning.row_check import NO_ENCODER
from search.record.reader import StudyRecord
from search.report.status import StudyStatus
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings

Settings = Callable[..., StudySettings]
Cli = Callable[..., Any]
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def test_importing_it_imports_nothing_heavy() -> None:
    heavy = ("torch", "ray", "mlflow", "transformers", "optuna", "pandas")
    script = f"import sys, search.api; print([n for n in {heavy} if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_all_public_functions_are_listed() -> None:
    public = {
        name
        for name, value in vars(api).items()
        if getattr(value, "__module__", "") == api.__name__ and not name.startswith("_")
    }
    assert public | {"Study", "read"} == set(api.__all__)
    assert all(getattr(api, name).__doc__ for name in api.__all__)


def test_the_examples_of_the_documentation(
    planted_home: Path,
    model_folder: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "my-model").symlink_to(model_folder("rel"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRANSFER_SEARCH_HOME", str(planted_home))
    done = doctest.testmod(api, optionflags=FLAGS)
    assert done.failed == 0
    assert done.attempted >= 12
    assert [path.name for path in tmp_path.iterdir()] == ["my-model"]


# ---- refused alike


def refusals(
    write_tables: Callable[..., Path], settings: StudySettings, folder: Path
) -> dict[str, tuple[Path, list[str], dict[str, Any]]]:
    """What cannot run: a study file, and the options of the command and of the function."""
    content = settings.model_dump(mode="json", exclude_none=True, exclude_defaults=True)

    def study(name: str, **sections: dict[str, Any]) -> Path:
        changed = {key: {**content.get(key, {}), **keys} for key, keys in sections.items()}
        return write_tables(folder / f"{name}.toml", {**content, **changed})

    (folder / "file").write_text("")
    home, below = folder / "home", folder / "file" / "below"
    no_rows = {"selection": "source_dev", "objective": ["rel", "retrieval"]}
    at_home = (["--home", str(home)], {"home": home})
    return {
        "contract": (study("contract", evaluation=no_rows), *at_home),
        "places": (study("places"), ["--home", str(below)], {"home": below}),
        "record": (study("record", tracking={"mlflow": "http://127.0.0.1:9"}), *at_home),
        "earlier": (study("earlier", study={"warm_start": ["before"]}), *at_home),
        "resources": (study("resources", resources={"num_workers": 999}), *at_home),
        "encoder": (study("encoder", study={"encoder": str(folder / "none")}), *at_home),
        "file": (folder / "none.toml", *at_home),
        "address": (
            study("address"),
            [*at_home[0], "--address", "http://head:8265"],
            {**at_home[1], "address": "http://head:8265"},
        ),
        "name": (study("name"), [*at_home[0], "--name", "a b"], {**at_home[1], "name": "a b"}),
    }


CASES = (
    ("contract", "has no rows in its source language"),
    ("places", "is a file"),
    ("record", "does not answer"),
    ("earlier", "warm_start"),
    ("resources", "lower num_workers"),
    ("encoder", "cannot be loaded"),
    ("file", "none.toml"),
    ("address", "is not an address to run at"),
    ("name", "study.name"),
)


@pytest.mark.parametrize(("case", "message"), CASES)
def test_run_refuses_what_the_command_refuses(
    case: str,
    message: str,
    cli: Cli,
    write_tables: Callable[..., Path],
    settings_of: Settings,
    small_base: Path,
    tmp_path: Path,
) -> None:
    settings = settings_of(study={"encoder": str(small_base)})
    cases = refusals(write_tables, settings, tmp_path)
    assert cases.keys() == {name for name, _ in CASES}
    file, options, given = cases[case]
    printed = cli("run", file, *options)
    assert (printed.code, printed.out) == (2, "")
    with pytest.raises(Refusal, match=message) as caught:
        api.run(file, **given)
    assert printed.err == f"transfer-search: {caught.value}\n"
    assert not (tmp_path / "home").exists()


def test_a_cluster_needs_a_home_that_is_named(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (api.run, api.retrain):
        with pytest.raises(Refusal, match="a home folder that all nodes share") as caught:
            command("pocket", address="auto")
        printed = cli(command.__name__, "pocket", "--address", "auto")
        assert printed.err == f"transfer-search: {caught.value}\n"


def test_a_search_needs_the_main_thread(tmp_path: Path) -> None:
    refused: list[Refusal] = []

    def search() -> None:
        try:
            api.run("pocket", home=tmp_path / "home")
        except Refusal as refusal:
            refused.append(refusal)

    thread = Thread(target=search)
    thread.start()
    thread.join()
    assert "start it in the main thread" in str(refused[0])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda home: api.read("tini", home=home), "Did you mean 'tiny'"),
        (lambda home: api.retrain("tiny", home=home, trial=99), "unknown scored trial"),
        (lambda home: api.retrain("tiny", home=home, target="xnli"), "unknown target"),
        (lambda home: api.evaluate("tiny", home=home, split="tests"), "Did you mean 'test'"),
        (lambda home: api.load_model("models:/none/1", home=home), "unknown registered model"),
        (lambda home: api.plan("pocket", sequences_per_second=0), "expected more than 0"),
    ],
)
def test_what_other_functions_refuse(
    call: Callable[[Path], Any], message: str, planted_home: Path
) -> None:
    with pytest.raises(Refusal, match=message) as caught:
        call(planted_home)
    assert "\n" not in str(caught.value)


# ---- planned, run and used


def test_a_name_and_a_data_root_in_place_of_the_files(
    study_file: Callable[..., Path], tmp_path: Path
) -> None:
    file = study_file(study={"data_root": "rows"})
    assert api.load_settings(file).study.data_root == str(file.parent.resolve() / "rows")
    settings = api.load_settings(file, name="other", data_root=tmp_path)
    assert (settings.study.name, settings.study.data_root) == ("other", str(tmp_path.resolve()))
    with pytest.raises(Refusal, match=r"study\.name"):
        api.load_settings(file, name="not a name")


def test_a_plan_is_that_of_the_command(cli: Cli) -> None:
    assert api.plan("pocket", name="mine").to_dict() == json.loads(
        cli("plan", "pocket", "--name", "mine", "--json").out
    )


def test_a_plan_reads_the_rows_where_it_is_asked_to(
    settings_of: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    settings = settings_of(study={"encoder": "our/unheard-of"})
    plain = api.plan(settings)
    planned = api.plan(settings, rows=True, home=tmp_path / "home")
    assert planned.warnings == (*plain.warnings, NO_ENCODER)
    assert not list(tmp_path.iterdir())


def test_rows_of_a_data_frame_are_answered(model_folder: Callable[[str], Path]) -> None:
    predictor = api.load_model(model_folder("rel"))
    rows = [{"text_a": "uno", "text_b": "dos"}, {"text_a": "tres", "text_b": "cuatro"}]
    answers = api.predict(predictor, rows)
    assert answers == api.predict(str(model_folder("rel")), pd.DataFrame(rows))
    assert [answer["label"] for answer in answers] == predictor.predict(rows)


def outcome(record: StudyRecord) -> dict[int, Any]:
    """What has to be equal, however the search was started."""
    return {
        row.number: (row.state, dict(row.params), row.objective, row.scores, row.phase_keys)
        for row in record.rows
    }


SEARCH = """
import json, sys
from search import api
from spaces.study_file.study import StudySettings
study = api.run(StudySettings.parse(json.loads(sys.argv[1])), home=sys.argv[2])
assert study.is_finished and study.best.objective == study.trials().objective.max()
"""


@pytest.mark.ray
@pytest.mark.slow
def test_a_search_from_python_leaves_the_record_of_the_command(
    finished: Any, tmp_path: Path
) -> None:
    settings = finished.settings.model_dump_json()
    command = [sys.executable, "-c", SEARCH, settings, str(tmp_path / "home")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    record = api.read("tiny", home=tmp_path / "home").record
    assert outcome(record) == outcome(finished.record)
    assert record.digest == finished.record.digest
    assert record.warnings == finished.record.warnings
    assert StudyStatus.of(record).trials == StudyStatus.of(finished.record).trials


@pytest.mark.ray
def test_a_finished_study_is_run_again_in_this_process(finished: Any, tmp_path: Path) -> None:
    home = finished.copy(tmp_path / "home")
    before = signal.getsignal(signal.SIGINT)
    study = api.run(finished.file, home=home)
    assert signal.getsignal(signal.SIGINT) is before
    assert study.is_finished
    assert outcome(study.record) == outcome(finished.record)
    assert study.best == api.read(finished.file, home=home).best
