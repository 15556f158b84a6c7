"""The start of a search: what is refused before anything is made, and what is opened."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.callbacks import StartCallbacks
from search.driver import start
from search.driver.start import (
    TRAINED_BY,
    check_trained_on,
    check_version,
    scoring_versions,
    start_study,
)
from search.home import Home
from search.sampling.study import OptunaStudy
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings
from trainables.encoders.model import BaseEncoder
from trainables.training.key_facts import TRAINING_VERSION

Settings = Callable[..., StudySettings]


def written(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_refused_before_anything_is_made(
    settings_of: Settings, small_base: Path, tmp_path: Path
) -> None:
    base = {"encoder": str(small_base)}
    (tmp_path / "file").write_text("")
    home, before = Home.of(tmp_path / "home"), written(tmp_path)
    cases: list[tuple[dict[str, Any], Home, str]] = [
        ({"study": {"encoder": str(tmp_path / "none")}}, home, "cannot be loaded"),
        ({"study": base, "resources": {"num_workers": 999}}, home, "lower num_workers"),
        ({"study": base, "tracking": {"mlflow": "http://127.0.0.1:9"}}, home, "does not answer"),
        ({"study": base, "tracking": {"mlflow": "ftp://x"}}, home, "scheme"),
        ({"tracking": {"optuna": "postgresql://u:hunter2@127.0.0.1:9/d"}}, home, "cannot be used"),
        ({"study": base, "tracking": {"optuna": "nonsense://u:hunter2@h/d"}}, home, r"\[tracking"),
        ({"study": base}, Home.of(tmp_path / "file"), "is a file"),
        ({"study": base}, Home.of(tmp_path / "file" / "below"), "is a file"),
    ]
    for sections, place, message in cases:
        with pytest.raises(Refusal, match=message) as caught:
            start_study(settings_of(**sections), place, None, StartCallbacks())
        assert "\n" not in str(caught.value)
        assert "hunter2" not in str(caught.value)
        assert written(tmp_path) == before, f"{sections} wrote something"


@pytest.mark.parametrize("umask", [0o022, 0o000])
def test_what_a_start_makes_is_its_users_alone(
    umask: int, settings_of: Settings, small_base: Path, tmp_path: Path
) -> None:
    """Also where the record is elsewhere, in a folder that others may enter."""
    (tmp_path / "shared").mkdir()
    elsewhere = {"mlflow": f"sqlite:///{tmp_path}/shared/mlflow.db"}
    study = {"encoder": str(small_base)}
    old = os.umask(umask)
    try:
        for name, tracking in {"one": {}, "two": elsewhere}.items():
            settings = settings_of(study=study, tracking=tracking)
            start_study(settings, Home.of(tmp_path / name), None, StartCallbacks())
    finally:
        os.umask(old)
    for path, mode in {
        "one": 0o700,
        "one/optuna.db": 0o600,
        "one/mlflow.db": 0o600,
        "two": 0o700,
        "two/optuna.db": 0o600,
        "shared/mlflow.db": 0o666 & ~umask,
    }.items():
        assert (tmp_path / path).stat().st_mode & 0o777 == mode, path


def test_a_study_the_encoder_cannot_train(
    settings_of: Settings, small_base: Path, tmp_path: Path
) -> None:
    """Refused here, once, and not by every trial."""
    long = {"num_steps": 1, "batch_size": 1, "max_length": 100_000}
    settings = settings_of(
        study={"encoder": str(small_base)}, training={"intermediate": long, "target": long}
    )
    with pytest.raises(Refusal, match=r"max_length"):
        start_study(settings, Home.of(tmp_path / "home"), None, StartCallbacks())
    assert not (tmp_path / "home").exists()


def test_a_study_of_another_training_version_is_not_gone_on_with(
    settings_of: Settings, optuna_url: str
) -> None:
    """One that was begun before studies said their version is of version 1."""
    settings = settings_of(budget={"num_trials": 2})
    study = OptunaStudy.open(optuna_url, settings)
    check_version(study, settings)
    asked = study.ask()
    assert asked is not None
    study.tell_scored(asked, 0.5)
    with pytest.raises(Refusal, match=r"begun with training version 1, .*finish it with"):
        check_version(study, settings)
    check_version(study, settings_of(budget={"num_trials": 1}))  # it has all its trials
    study.write_mark(TRAINED_BY, {"training_version": TRAINING_VERSION})
    check_version(OptunaStudy.open(optuna_url, settings), settings)


def test_a_study_of_another_scoring_version_is_not_gone_on_with(
    settings_of: Settings, optuna_url: str
) -> None:
    """Only where a target's metric is another one: `pos` is scored as ever, `udpos` is not."""
    space = {"targets": ["pos", "udpos"]}
    settings = settings_of(budget={"num_trials": 2}, space=space)
    assert scoring_versions(settings) == {"pos": 1, "udpos": 2}
    study = OptunaStudy.open(optuna_url, settings)
    asked = study.ask()
    assert asked is not None
    study.tell_scored(asked, 0.5)
    study.write_mark(TRAINED_BY, {"training_version": TRAINING_VERSION})  # as it was once written
    with pytest.raises(Refusal, match=r"scoring version 1 of target 'udpos', .* by version 2"):
        check_version(study, settings)
    check_version(study, settings_of(budget={"num_trials": 2}, space={"targets": ["pos"]}))
    mark = {"training_version": TRAINING_VERSION, "scoring_versions": scoring_versions(settings)}
    study.write_mark(TRAINED_BY, mark)
    check_version(study, settings)


def test_a_study_is_not_gone_on_with_on_another_encoder(
    settings_of: Settings, optuna_url: str, small_base: Path
) -> None:
    settings, base = settings_of(budget={"num_trials": 2}), BaseEncoder.load(str(small_base))
    study = OptunaStudy.open(optuna_url, settings)
    other = {**base.digests, "weights": "0" * 64}
    study.write_mark(TRAINED_BY, {"training_version": TRAINING_VERSION, "encoder": other})
    check_trained_on(study, settings, base, folder="DIR")  # nothing is trained yet
    asked = study.ask()
    assert asked is not None
    study.tell_scored(asked, 0.5)
    with pytest.raises(
        Refusal, match=r"'DIR' is not that of study 'tiny': the digest of its weights is"
    ):
        check_trained_on(study, settings, base, folder="DIR")
    for mark in ({}, {"encoder": base.digests}):  # older studies have no digests
        study.write_mark(TRAINED_BY, {"training_version": TRAINING_VERSION, **mark})
        check_trained_on(study, settings, base, folder="DIR")


def test_every_check_is_made_once(
    settings_of: Settings, small_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    checks = (
        "check_study",
        "check_places",
        "check_database",
        "check_earlier",
        "max_concurrent_trials",
    )
    for name in (*checks, "find_encoder", "check_encoder", "check_version"):
        given = getattr(start, name)

        def check(*arguments: Any, name: str = name, given: Any = given, **keys: Any) -> Any:
            made.append(name)
            return given(*arguments, **keys)

        monkeypatch.setattr(start, name, check)
    settings, home = settings_of(study={"encoder": str(small_base)}), Home.of(tmp_path / "home")
    started = start_study(settings, home, None, StartCallbacks())
    assert made == [*checks, "find_encoder", "check_encoder", "check_version"]
    assert (started.max_concurrent, started.phase_store) == (2, None)
    assert started.address.study == "tiny"
    assert started.optuna.history.num_counted == 0
    assert started.data.folder == home.path / "data"
    assert (home.path / "mlflow.db").exists()


def test_the_phase_store_is_resolved_once(
    settings_of: Settings,
    small_base: Path,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From the driver's environment; the workers get the answer."""
    monkeypatch.setenv("TRANSFER_SEARCH_PHASE_STORE", bucket)
    settings, home = settings_of(study={"encoder": str(small_base)}), Home.of(tmp_path / "home")
    started = start_study(settings, home, None, StartCallbacks())
    assert started.phase_store == bucket
    assert started.settings.resources.phase_store is None
