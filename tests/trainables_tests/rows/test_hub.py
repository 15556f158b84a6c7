from pathlib import Path

import pyarrow.parquet as pq
import pytest

from spaces.refusal import Refusal
from trainables.rows.hub import NoRowsError, raw_rows

XTREME = "google/xtreme"


def rows_of(root: Path, dataset: str, config: str | None, split: str) -> list[dict]:
    return raw_rows(dataset, config, split, revision=None, data_root=str(root)).rows


def test_class_labels_come_by_name(mirror: Path) -> None:
    first = rows_of(mirror, XTREME, "udpos.German", "test")[0]
    assert first["tokens"][:3] == ["„", "Ein", "Großteil"]
    assert first["pos_tags"][:3] == ["PUNCT", "DET", "NOUN"]
    assert rows_of(mirror, XTREME, "PAN-X.de", "test")[1]["ner_tags"][:2] == ["B-PER", "I-PER"]
    labels = [r["label"] for r in rows_of(mirror, "nyu-mll/multi_nli", None, "validation_matched")]
    assert set(labels) == {"entailment", "neutral", "contradiction"}


def test_hidden_class_labels_have_no_name(mirror: Path) -> None:
    labels = {r["label"] for r in rows_of(mirror, "nyu-mll/glue", "mnli", "test_matched")}
    assert labels == {None}


def test_a_folder_by_the_data_sets_name_is_read_as_the_hub_is(mirror: Path, monkeypatch) -> None:
    by_root = rows_of(mirror, XTREME, "XQuAD.de", "validation")
    monkeypatch.chdir(mirror)
    by_name = raw_rows(XTREME, "XQuAD.de", "validation", revision="0" * 40, data_root=None)
    assert by_name.rows == by_root
    assert by_name.commit == ""


def test_a_changed_file_is_read_as_it_is_now(changed_root) -> None:
    root = changed_root("tau/commonsense_qa", "data/validation", lambda rows: None)
    before = rows_of(root, "tau/commonsense_qa", None, "validation")
    path = root / "tau/commonsense_qa/data/validation-00000-of-00001.parquet"
    pq.write_table(pq.read_table(path).slice(3, 7), path)
    assert rows_of(root, "tau/commonsense_qa", None, "validation") == before[3:10]


@pytest.mark.parametrize(
    ("config", "split"), [("PAN-X.th", "test"), ("PAWS-X.de", "train"), ("udpos.Tagalog", "train")]
)
def test_what_is_not_in_the_data_set(mirror: Path, config: str, split: str) -> None:
    with pytest.raises(NoRowsError, match=r"has no (config|split)"):
        rows_of(mirror, XTREME, config, split)


def test_broken_parquet_is_refused_in_a_line(changed_root) -> None:
    root = changed_root(XTREME, "PAN-X.de/validation", lambda rows: None)
    path = root / XTREME / "PAN-X.de/validation-00000-of-00001.parquet"
    whole = path.read_bytes()
    for content in (b"PAR1 and nothing more", whole[: len(whole) // 2], b""):
        path.write_bytes(content)
        with pytest.raises(Refusal, match=r"config 'PAN-X.de'.* cannot be ") as refused:
            rows_of(root, XTREME, "PAN-X.de", "validation")
        assert "\n" not in str(refused.value)


def test_a_card_that_lists_what_is_not_there_is_refused(changed_root) -> None:
    root = changed_root("tau/commonsense_qa", "data/train", lambda rows: None)
    for path in root.rglob("*.parquet"):
        path.unlink()
    with pytest.raises(Refusal, match=r"has not all data files that its README\.md lists"):
        rows_of(root, "tau/commonsense_qa", None, "validation")


def test_no_network_and_no_data_root_say_what_to_do(tmp_path: Path, monkeypatch) -> None:
    import datasets
    import huggingface_hub

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(Refusal, match=r"cannot be reached.*--data-root DIR.*data fetch STUDY"):
        raw_rows(XTREME, "XQuAD.de", "validation", revision="main", data_root=None)
