"""What a study reads, checked, and taken along."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from search.cli.data import _print
from search.planning.data import (
    DataCheck,
    FoundEncoder,
    bundle_data,
    check_data,
    fetch_data,
    not_copied,
    parts_of,
    places_of,
)
from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.task import TaskKind
from tests.by_name import own_rows, own_task
from trainables.encoders.model import BaseEncoder
from trainables.rows.rows import Rows


def study(data_root: Path | str | None, **tables: Any) -> StudySettings:
    content: dict[str, Any] = {
        "study": {"name": "small", "encoder": "pocket", "seed": 0},
        "space": {
            "intermediate": ["none", "csqa"],
            "intermediate_learning_rate": [1e-3],
            "target_learning_rate": [1e-3],
            "targets": ["xquad", "tatoeba"],
        },
        "training": {
            "intermediate": {"num_steps": 1, "batch_size": 4, "max_length": 32},
            "target": {"num_steps": 1, "batch_size": 4, "max_length": 48},
        },
        "evaluation": {"languages": ["de", "ru", "tr"]},
        "budget": {"num_trials": 1},
    }
    settings = StudySettings.parse({**content, **tables})
    return settings.with_data_root(data_root)


def quiet(done: int, of: int) -> None:
    pass


def check(data_root: Path, **tables: Any) -> DataCheck:
    return check_data(study(data_root, **tables), on_done=quiet)


PRETRAINING = {
    "text": "flores",
    "languages": ["en", "de"],
    "max_vocabulary": 500,
    "hidden_size": 32,
    "num_layers": 2,
    "num_heads": 2,
    "feed_forward_size": 64,
    "learning_rate": 1e-3,
    "recipe": {"num_steps": 3, "batch_size": 8, "max_length": 128},
}


def test_everything_that_run_and_retrain_read() -> None:
    encoder = {"name": "small", "encoder": "pretrained", "seed": 0}
    settings = study(None, study=encoder, pretraining=PRETRAINING)
    places = {(p.task, p.language, p.split): p.is_needed for p in places_of(settings)}
    languages = {"xquad": ("en", "de", "ru", "tr"), "tatoeba": ("de", "ru", "tr")}
    scored = {
        (task, code, split): False
        for task, codes in languages.items()
        for code in codes
        for split in ("validation", "test")
    }
    trained = {("csqa", "en", "train"): True, ("squad", "en", "train"): True}
    text = {("flores", "en", "train"): False, ("flores", "de", "train"): False}
    assert places == {**scored, **trained, **text}


def test_a_check_tells_what_is_there(mirror: Path) -> None:
    told: list[tuple[int, int]] = []
    found = check_data(study(mirror), on_done=lambda *at: told.append(at))
    assert found.errors == ()
    assert told[-1] == (len(told), len(told))
    missing = {(place.task, place.language, place.split) for place in found.missing}
    splits, tasks = ("validation", "test"), ("xquad", "tatoeba")
    assert missing == {(task, "tr", split) for task in tasks for split in splits}
    by_place = {(one.task, one.language, one.split): one for one in found.found}
    german = by_place["xquad", "de", "validation"]
    assert (german.config, german.hub_split, german.num_rows) == ("XQuAD.de", "validation", 550)
    assert german.licence == "CC BY-SA 4.0"
    assert german.digest == Rows(str(mirror)).fingerprint(SHIPPED.get("xquad"), "de", "validation")
    assert by_place["squad", "en", "train"].licence == "CC BY-SA 4.0"


ROWS: list[tuple[str, str, Callable[[list[dict[str, Any]]], None], str]] = [
    (
        "tau/commonsense_qa",
        "data/train",
        lambda rows: rows[2].update(answerKey="Z"),
        r"task 'csqa', row '\w+': label 'Z' is not one of its choices",
    ),
    (
        "google/xtreme",
        "XQuAD.de/validation",
        lambda rows: rows[5]["answers"].update(text=["nowhere at all"]),
        r"task 'xquad', row '\w+': answers\[0\] is 'nowhere at all', but the context has",
    ),
    (
        "google/xtreme",
        "tatoeba.rus/validation",
        lambda rows: rows[7].update(source_sentence=" \n"),
        r"task 'tatoeba', row 'validation-000007': text is empty",
    ),
    (
        "google/xtreme",
        "tatoeba.deu/validation",
        lambda rows: rows[1].update(source_lang="rus"),
        r"row 'validation-000001': source_lang is 'rus'.*mixed languages",
    ),
    (
        "google/xtreme",
        "PAN-X.de/validation",
        lambda rows: rows[3]["ner_tags"].append(0),
        r"task 'panx', row 'validation-000003': \d+ words and \d+ tags, expected one tag per word",
    ),
    (
        "google/xtreme",
        "PAN-X.de/validation",
        lambda rows: rows[4]["langs"].__setitem__(0, "fr"),
        r"task 'panx', row 'validation-000004': has words of fr, expected only de: mixed languages",
    ),
]


@pytest.mark.parametrize(("dataset", "place", "change", "message"), ROWS)
def test_a_bad_row_is_named(
    changed_root: Callable[..., Path],
    mirror: Path,
    dataset: str,
    place: str,
    change: Callable[[list[dict[str, Any]]], None],
    message: str,
) -> None:
    root = changed_root(dataset, place, change)
    for other in ("tau", "google", "rajpurkar"):
        if not (root / other).exists():
            (root / other).symlink_to(mirror / other)
    target = "panx" if "PAN-X" in place else "xquad"
    space = {**study(None).space.model_dump(mode="json"), "targets": [target, "tatoeba"]}
    found = check(root, space=space, evaluation={"languages": ["de", "ru"]})
    assert len(found.errors) == 1
    assert re.search(message, found.errors[0])
    assert "\n" not in found.errors[0]


def test_a_bad_row_is_not_taken_along(
    changed_root: Callable[..., Path], mirror: Path, tmp_path: Path
) -> None:
    dataset, place, change, message = ROWS[0]
    root = changed_root(dataset, place, change)
    for other in ("google", "rajpurkar"):
        (root / other).symlink_to(mirror / other)
    with pytest.raises(Refusal, match=message):
        bundle_data(study(root), tmp_path / "out", on_done=quiet)
    assert not (tmp_path / "out").exists()


def test_rows_to_train_on_must_be_there(mirror: Path) -> None:
    space = study(None).space.model_dump(mode="json")
    found = check(mirror, space={**space, "intermediate": ["none", "pawsx@de"]})
    (error,) = found.errors
    assert "PAWS-X.de" in error
    assert "no split 'train'" in error


def test_a_target_needs_a_zero_shot_language(mirror: Path) -> None:
    space = {**study(None).space.model_dump(mode="json"), "targets": ["pawsx"]}
    found = check(mirror, space=space, evaluation={"languages": ["ko"]})
    (error,) = found.errors
    assert "'pawsx' has no validation rows in any zero-shot language" in error


def test_a_bundle_is_a_data_root_of_the_same_rows(mirror: Path, tmp_path: Path) -> None:
    source = bundle_data(study(mirror), tmp_path / "out", on_done=quiet)
    copied = check(tmp_path / "out")
    assert copied.errors == ()
    assert [one.digest for one in copied.found] == [one.digest for one in source.found]
    assert [one.licence for one in copied.found] == [one.licence for one in source.found]
    assert len(parts_of(copied.found)) == 7  # 3 of XQuAD, 2 of Tatoeba, SQuAD, CommonsenseQA
    assert not list(tmp_path.glob(".out-*"))
    with pytest.raises(Refusal, match="not an empty folder"):
        bundle_data(study(mirror), tmp_path / "out", on_done=quiet)
    damaged = tmp_path / "out/google/xtreme/XQuAD.de/validation-00000-of-00001.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    assert "differs from its sum in SHA256SUMS" in check(tmp_path / "out").errors[0]


@pytest.fixture
def named_study(mirror: Path) -> StudySettings:
    """A study of real rows whose encoder has a name of the hub."""
    content = study(mirror).model_dump(mode="json")
    content["study"]["encoder"] = "our/tiny"
    return StudySettings.parse(content)


def test_a_bundle_takes_the_encoder_along(
    named_study: StudySettings, small_base: Path, tmp_path: Path
) -> None:
    out, digest = tmp_path / "out", BaseEncoder.load(str(small_base)).weights_digest
    source = bundle_data(named_study.with_encoder(small_base), out, on_done=quiet)
    assert source.encoder == FoundEncoder(str(small_base), digest)
    copied = check_data(named_study.with_data_root(out), on_done=quiet)
    assert copied.errors == ()
    assert copied.encoder == FoundEncoder(str(out / "encoders/our/tiny"), digest)
    entry = json.loads((out / "SOURCES.json").read_text())["encoders/our/tiny"]
    assert entry == {"revision": "", "commit": "", "digest": digest}
    assert "encoders/our/tiny/model.safetensors" in (out / "SHA256SUMS").read_text()
    # A bundle of the bundle needs no other source.
    bundle_data(named_study.with_data_root(out), tmp_path / "again", on_done=quiet)
    again = check_data(named_study.with_data_root(tmp_path / "again"), on_done=quiet)
    assert again.encoder is not None
    assert again.encoder.digest == digest
    damaged = out / "encoders/our/tiny/tokenizer.json"
    damaged.write_text(damaged.read_text() + "\n")
    (error,) = check_data(named_study.with_data_root(out), on_done=quiet).errors
    assert "our/tiny/tokenizer.json differs from its sum in SHA256SUMS" in error


def test_a_bundle_may_leave_the_encoder_out(
    named_study: StudySettings, small_base: Path, tmp_path: Path
) -> None:
    settings = named_study.with_encoder(small_base)
    bundle_data(settings, tmp_path / "out", has_encoder=False, on_done=quiet)
    assert not (tmp_path / "out" / "encoders").exists()


def test_an_encoder_that_does_not_fit_is_an_error(
    named_study: StudySettings, small_base: Path, tmp_path: Path
) -> None:
    content = named_study.model_dump(mode="json")
    content["training"]["target"]["max_length"] = 9999
    settings = StudySettings.parse(content)
    (error,) = check_data(settings.with_encoder(small_base), on_done=quiet).errors
    assert "training.target.max_length" in error
    (error,) = check_data(named_study.with_encoder(tmp_path / "none"), on_done=quiet).errors
    assert "is not a folder here" in error


def test_a_check_of_whole_rows(mirror: Path) -> None:
    evaluation = {"languages": ["de"], "halves": False}
    found = check(mirror, evaluation=evaluation).found
    counts = {(d.task, d.language, d.split): d.num_rows for d in found}
    for split in ("validation", "test"):
        assert counts["xquad", "de", split] == 1190
        assert counts["tatoeba", "de", split] == 1000


def write_own(folder: Path, language: str, *rows: dict[str, str]) -> None:
    (folder / language).mkdir(parents=True)
    lines = [json.dumps(row) for row in rows]
    (folder / language / "train.jsonl").write_text("\n".join(lines))


@pytest.fixture
def own_root(mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with rows of one's own below it and CCGbank beside them; other rows of one's own
    lie elsewhere, under an absolute name."""
    root, tickets = tmp_path / "root", tmp_path / "tickets"
    for owner in ("google", "rajpurkar"):
        (root / owner).parent.mkdir(exist_ok=True)
        (root / owner).symlink_to(mirror / owner)
    pair = {"question1": "Wie alt?", "question2": "Welches Alter?", "label": "duplicate"}
    write_own(root / "mine" / "qqp", "de", pair, {**pair, "label": "not_duplicate"})
    write_own(tickets, "en", {"sentence1": "The page stays white.", "label": "bug"})
    for section in range(2, 22):
        folder = root / "ccgbank" / "data" / "AUTO" / f"{section:02d}"
        folder.mkdir(parents=True)
        text = "ID=wsj_0201.1 PARSER=GOLD\n(<L N/N JJ JJ Old N_1/N_1>) (<L N NNS NNS cats N>)\n"
        (folder / f"wsj_{section:02d}01.auto").write_text(text)
    mine = own_task(
        "tickets",
        TaskKind.CLASSIFICATION,
        str(tickets),
        languages=("en", "de"),
        labels=("bug", "wish"),
        num_train_rows=1,
    )
    catalogue = SHIPPED.with_tasks([mine]).with_rows("qqp", own_rows("mine/qqp", "de"))
    monkeypatch.setattr(StudySettings, "catalogue", catalogue)
    return root


def own_study(data_root: Path, *intermediate: str) -> StudySettings:
    space = {**study(None).space.model_dump(mode="json"), "intermediate": ["none", *intermediate]}
    return study(data_root, space=space, evaluation={"languages": ["de"]})


def test_rows_of_ones_own_are_taken_along(own_root: Path, tmp_path: Path) -> None:
    out, told = tmp_path / "out", list[tuple[int, int]]()
    source = bundle_data(own_study(own_root, "qqp@de"), out, on_done=lambda *at: told.append(at))
    assert told == [(n, 5) for n in range(1, 6)]  # SQuAD, XQuAD twice, Tatoeba, ours
    assert not_copied(source) == []
    rows = (out / "mine/qqp/de/train.jsonl").read_text()
    assert rows == (own_root / "mine/qqp/de/train.jsonl").read_text()
    assert "mine/qqp/de/train.jsonl" in (out / "SHA256SUMS").read_text()
    copied = check_data(own_study(out, "qqp@de"), on_done=quiet)
    assert copied.errors == ()
    assert [one.digest for one in copied.found] == [one.digest for one in source.found]
    (out / "mine/qqp/de/train.jsonl").write_text(rows.replace("alt", "neu"))
    (error,) = check_data(own_study(out, "qqp@de"), on_done=quiet).errors
    assert "mine/qqp/de/train.jsonl differs from its sum in SHA256SUMS" in error


def test_what_is_not_taken_along_is_named(own_root: Path, tmp_path: Path) -> None:
    settings = own_study(own_root, "ccg", "tickets")
    lines = not_copied(bundle_data(settings, tmp_path / "out", on_done=quiet))
    absolute, licensed = lines
    assert "tickets': its name is not a path below a data root" in absolute
    assert "'ccgbank': the LDC's licence (LDC2005T13) does not allow" in licensed
    card = (tmp_path / "out" / "README.md").read_text()
    assert [line in card for line in lines] == [True, True]
    assert not [path for path in (tmp_path / "out").rglob("*") if "ccg" in path.name]
    # The absolute name is found wherever the bundle lies; the licensed corpus has to be put there.
    again = check_data(own_study(tmp_path / "out", "ccg", "tickets"), on_done=quiet)
    (error,) = again.errors
    assert "LDC2005T13" in error
    assert ("tickets", "en", "train") in {(p.task, p.language, p.split) for p in again.found}


def test_nothing_but_what_is_not_copied(own_root: Path, tmp_path: Path) -> None:
    space = {
        **study(None).space.model_dump(mode="json"),
        "intermediate": ["none", "ccg"],
        "targets": ["coh"],
    }
    with pytest.raises(
        Refusal, match=r"reads no rows that can be copied; 'ccgbank': the LDC's licence"
    ):
        bundle_data(study(own_root, space=space), tmp_path / "out", on_done=quiet)
    assert not (tmp_path / "out").exists()


def test_nothing_of_the_hub_to_take_along(tmp_path: Path) -> None:
    space = {
        **study(None).space.model_dump(mode="json"),
        "intermediate": ["none", "fact"],
        "targets": ["coh"],
    }
    with pytest.raises(Refusal, match="reads no rows that can be copied"):
        bundle_data(study(None, space=space), tmp_path / "out", on_done=quiet)


def test_fetch_is_from_the_hub_alone(mirror: Path) -> None:
    with pytest.raises(Refusal, match="so there is nothing to fetch"):
        fetch_data(study(mirror), on_done=quiet)


def test_older_stages_among_the_rows_are_said(make_root: Callable[..., Path]) -> None:
    """With the rows that are checked, also where `data check` prints them."""
    made = [{"tokens": ["νέα"], "pos_tags": ["NOUN"]}]
    root = make_root("google/xtreme", "udpos.Greek", {"test": made, "validation": made})
    space = {
        "intermediate": ["none", "csqa"],
        "intermediate_learning_rate": [1e-3],
        "target_learning_rate": [1e-3],
        "targets": ["udpos"],
    }
    found = check(root, space=space, evaluation={"languages": ["el"]})
    (warning,) = found.warnings
    assert "Ancient Greek in el (84% of the test rows)" in warning
    told = io.StringIO()
    _print(found, Console(file=told, width=400))
    assert f"warning: {warning}" in told.getvalue()
    modern = {"languages": ["el"], "older_stages": False}
    left_out = check(root, space=space, evaluation=modern)
    assert not left_out.warnings
    assert any("hub's 2,809 rows, and there are 1" in error for error in left_out.errors)
