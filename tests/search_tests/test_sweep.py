"""gc: what the record holds stays, what is young stays, the rest goes; nothing in doubt."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from search import fence
from search import sweep as sweeping
from search.fence import MARK, Fence
from search.home import Home
from search.record.address import ExperimentAddress
from search.record.mlflow_client import connect
from search.record.writer import RecordWriter
from search.sampling.study import OptunaStudy
from search.sweep import YOUNG_SECONDS, sweep
from spaces.bucket import Bucket
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings
from trainables.store.object_store import ObjectStore

EXPERIMENT = "transfer-search"


def stored(home: Path, *keys: str, folder: str = "phases", days: float = 2) -> None:
    for key in keys:
        (path := home / folder / key).mkdir(parents=True)
        (path / "record.json").write_text("x" * 100)
        then = time.time() - days * 24 * 3600
        os.utime(path / "record.json", (then, then))


def there(home: Path) -> set[str]:
    return {path.name for path in home.glob("phases/*")}


@pytest.fixture
def home(uri: str, tmp_path: Path, planted: Any) -> Path:
    """Two studies in two experiments: a finished one of four trials, and a running one."""
    home = tmp_path / "home"
    for name, experiment in (("first", EXPERIMENT), ("second", "another")):
        record = RecordWriter(
            ExperimentAddress(uri, experiment).for_study(name), outbox=Home(home).outbox(name)
        )
        record.study_started(settings={}, digest="d", versions={})
        rows = planted.study_rows()[:4] if name == "first" else planted.study_rows()[4:5]
        for row in rows:
            record.trial_finished(row, baseline=None)
        if name == "first":
            record.study_finished(rows=rows, phases=[], summary={})
        assert record.outbox.deliver_all()
    return home


def keys_of(planted: Any, *numbers: int) -> set[str]:
    return {key for number in numbers for key in planted.study_rows()[number].phase_keys}


def test_what_is_held_and_what_is_young_stays(home: Path, uri: str, planted: Any) -> None:
    held = keys_of(planted, 0, 1, 2, 3, 4)
    stored(home, *held, "loose")
    stored(home, "young", days=0.5)
    stored(home, "half-done", folder="attempts")
    stored(home, "loose", "encoder-1", *held, folder="outcomes")
    stored(home, *list(held)[:1], folder="attempts")
    found = sweep(Home(home), tracking_uri=uri, dry_run=True)
    assert set(found.removed) == {"phases/loose", "attempts/half-done", "outcomes/loose"}
    assert (found.num_bytes, found.num_held, found.num_young) == (300, 2 * len(held) + 1, 1)
    assert there(home) == held | {"loose", "young"}, "a dry run removes nothing"
    assert sweep(Home(home), tracking_uri=uri) == found
    assert there(home) == held | {"young"}
    assert {path.name for path in home.glob("attempts/*")} == set(list(held)[:1])
    assert sweep(Home(home), tracking_uri=uri).removed == ()


def test_a_deleted_trial_holds_nothing(home: Path, uri: str, planted: Any) -> None:
    stored(home, *keys_of(planted, 0, 1, 2, 3))
    client = connect(uri)
    place = client.get_experiment_by_name(EXPERIMENT).experiment_id
    (trial,) = client.search_runs([place], "tags.`transfer_search.trial` = '3'")
    client.delete_run(trial.info.run_id)
    sweep(Home(home), tracking_uri=uri)
    assert there(home) == keys_of(planted, 0, 1, 2), "its intermediate is trial 2's too"


def test_the_best_and_what_they_start_from(home: Path, uri: str, planted: Any) -> None:
    """Trial 3 is best, trial 1 the best baseline; the other study is not finished."""
    stored(home, *keys_of(planted, 0, 1, 2, 3, 4))
    sweep(Home(home), tracking_uri=uri, keep_best=1)
    assert there(home) == keys_of(planted, 1, 3, 4)
    assert "fact-0.0002" in there(home), "the parent of the best trial's targets"


def test_never_while_a_study_is_searched(
    home: Path,
    uri: str,
    settings_of: Callable[..., StudySettings],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fence, "RENEW_SECONDS", 0.05)
    monkeypatch.setattr(fence, "LOOK_SECONDS", 0.2)
    stored(home, "loose")
    study = OptunaStudy.open(f"sqlite:///{home / 'optuna.db'}", settings_of())

    def write(name: str, mark: dict[str, Any] | None) -> None:
        away = {"host": "elsewhere"} if name == MARK else {}
        study.write_mark(name, mark and {**mark, **away})

    driver = Fence("tiny", read=study.read_mark, write=write, on_lost=lambda: None)
    with driver, pytest.raises(Refusal, match=r"'tiny' is being run by process .* on elsewhere"):
        sweep(Home(home), tracking_uri=uri)
    assert there(home) == {"loose"}
    study.write_mark("driver", None)
    assert sweep(Home(home), tracking_uri=uri).removed == ("phases/loose",)


def test_nothing_is_swept_in_doubt(home: Path, uri: str, tmp_path: Path, planted: Any) -> None:
    stored(home, "loose")
    with pytest.raises(Refusal, match="no MLflow database"):
        sweep(Home(home), tracking_uri=f"sqlite:///{tmp_path / 'none.db'}")
    outbox = Home(home).outbox("third")
    record = RecordWriter(ExperimentAddress(uri, EXPERIMENT).for_study("third"), outbox=outbox)
    record.trial_finished(planted.scored(0, 0.5, None), baseline=None)
    with pytest.raises(
        Refusal, match="records of study 'third' wait for MLflow; send them with `report third`"
    ):
        sweep(Home(home), tracking_uri=uri)
    assert there(home) == {"loose"}


def test_an_empty_record_is_not_this_home_s(uri: str, tmp_path: Path) -> None:
    stored(tmp_path / "home", "loose")
    with pytest.raises(Refusal, match="the record holds no study"):
        sweep(Home(tmp_path / "home"), tracking_uri=uri)
    assert there(tmp_path / "home") == {"loose"}


def test_an_object_store_is_swept_by_the_same_rules(
    home: Path, uri: str, planted: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its clock says how old an object is: a day passes here."""
    held = next(iter(keys_of(planted, 0)))
    objects = ObjectStore(Bucket.parse(bucket, setting="x"), max_attempts=1)
    for key in (held, "loose"):
        manifest = {"upload": "u", "hashes": {"w": "0"}, "documents": {}}
        objects.put_new(f"phases/{key}/manifest.json", json.dumps(manifest).encode())
        objects.put_new(f"phases/{key}/u/w", b"12345")
    objects.put_new(f"phases/{held}/killed/w", b"12345")
    objects.put_new("attempts/half/x-1-2/checkpoint-000000010/manifest.json", b"{}")
    stored(home, "loose", held)
    place = {"tracking_uri": uri, "phase_store": bucket}
    assert sweep(Home(home), **place).removed == ("phases/loose",), "objects are too young"
    later = time.time() + YOUNG_SECONDS + 60
    monkeypatch.setattr(sweeping, "time", SimpleNamespace(time=lambda: later))
    found = sweep(Home(home), **place, dry_run=True)
    assert set(found.removed) == {
        f"{bucket}/phases/loose",
        f"{bucket}/phases/{held}/killed",
        f"{bucket}/attempts/half",
    }
    assert found.num_held == 2
    assert len(objects.listed("")) == 6, "a dry run removes nothing"
    assert sweep(Home(home), **place) == found
    names = {one.name for one in objects.listed("")}
    assert names == {f"phases/{held}/manifest.json", f"phases/{held}/u/w"}
    assert there(home) == {held}


def test_the_command(cli: Callable[..., Any], home: Path, uri: str) -> None:
    stored(home, "loose")
    place = ("--home", home, "--tracking-uri", uri)
    shown = cli("gc", "--dry-run", *place)
    assert (shown.code, shown.err) == (0, "")
    kept = "kept: 0 that the record needs, 0 younger than a day"
    assert shown.out == f"phases/loose\n1 would be removed (0.00 GB); {kept}\n"
    found = json.loads(cli("gc", *place, "--json").out)
    assert found["removed"] == ["phases/loose"]
    assert cli("gc", "--keep-best", 0, *place).code == 2
    assert YOUNG_SECONDS == 24 * 3600


def test_shared_tensors_stay_as_long_as_a_phase_that_shares_them(
    home: Path, uri: str, planted: Any
) -> None:
    """A held phase, a young one and a loose one share a set each; nobody shares the fourth."""
    held = next(iter(keys_of(planted, 0)))
    for key, letter, days in ((held, "a", 2), ("young", "b", 0.5), ("loose", "c", 2)):
        stored(home, key, days=days)
        path = home / "phases" / key / "shared.json"
        path.write_text(json.dumps({"encoder": letter * 64}))
        os.utime(path, (time.time() - days * 24 * 3600,) * 2)
    stored(home, *(letter * 64 for letter in "abcd"), folder="tensors")
    for letter in "abcd":
        folder = home / "tensors" / (letter * 64)
        os.utime(folder, (time.time() - 2 * 24 * 3600,) * 2)
    found = sweep(Home(home), tracking_uri=uri)
    assert set(found.removed) == {"phases/loose", f"tensors/{'c' * 64}", f"tensors/{'d' * 64}"}
    assert {path.name[0] for path in home.glob("tensors/*")} == {"a", "b"}
