"""Rows by name and revision through the real client, which talks to a small hub of our own."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.hub_tasks import REVISIONS
from tests.by_name import cell_of
from tests.hub_server import DATASETS, MODELS, HubServer, Repo, serving
from trainables.encoders.model import BaseEncoder
from trainables.rows.rows import Rows

A, B = "a" * 40, "b" * 40

SCRIPT = """
import json, sys, time
from dataclasses import asdict
from spaces.refusal import Refusal

def rows(*wanted):  # each imports what it needs: all of it together takes seconds
    from spaces.tasks.catalogue import SHIPPED
    from trainables.rows.rows import Rows
    source, wanted = Rows(None), (SHIPPED.get(wanted[0]), *wanted[1:])
    loaded = source.load(*wanted)
    first = asdict(loaded.examples[0])
    return asdict(source.describe(*wanted)) | {"first": first}

def raw(dataset, config, split, revision):
    from trainables.rows.hub import raw_rows
    found = raw_rows(dataset, config, split, revision=revision, data_root=None)
    return {"rows": found.rows[:3], "commit": found.commit}

def encoder(name, revision):
    from trainables.encoders.model import BaseEncoder
    return {"digest": BaseEncoder.load(name, revision=revision).weights_digest}

def cached(name, revision):
    from trainables.rows.hub import cached_encoder
    found = cached_encoder(name, revision)
    return {"folder": found and str(found)}

def fetched(name, revision):
    from trainables.rows.hub import fetch_encoder
    return {"folder": str(fetch_encoder(name, revision))}

for what, *arguments in json.loads(sys.argv[1]):
    started = time.monotonic()
    try:
        answer = globals()[what](*arguments)
    except Refusal as refusal:
        answer = {"error": type(refusal).__name__, "text": str(refusal)}
    print(json.dumps(answer | {"seconds": time.monotonic() - started}))
"""

TASKS = [
    ("pawsx", "de", "test"),
    ("udpos", "zh", "test"),
    ("panx", "de", "test"),
    ("xquad", "de", "validation"),
    ("tydiqa", "ru", "test"),
    ("tatoeba", "de", "validation"),
    ("mnli", "en", "validation"),
    ("snli", "en", "validation"),
    ("squad2", "en", "validation"),
    ("mlqa", "hi", "validation"),
    ("xcopa", "qu", "test"),
    ("csqa", "en", "validation"),
    ("hellaswag", "en", "validation"),
    ("squad", "en", "validation"),
    ("cosmosqa", "en", "validation"),
    ("flores", "de", "train"),
]


@dataclass(frozen=True)
class Client:
    """A process of its own, with a cache of its own: `HF_ENDPOINT` and `HF_HOME` are read once."""

    home: Path

    def ask(self, address: str, *wanted: tuple[str, ...], **env: str) -> list[dict[str, Any]]:
        inherited = {name: value for name, value in os.environ.items() if name[:3] != "HF_"}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, json.dumps(wanted)],
            env={**inherited, "HF_ENDPOINT": address, "HF_HOME": str(self.home), **env},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return Client(tmp_path / "hf")


def table(folder: Path, name: str, **columns: list[Any]) -> None:
    """A Parquet file without the notes in its schema that `datasets` writes."""
    path = folder / f"{name}-00000-of-00001.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def hub(**folders: Path) -> dict[tuple[str, str], Repo]:
    return {(DATASETS, f"our/{name}"): Repo(folder, A) for name, folder in folders.items()}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A data set of one config, with a card that names it."""
    folder = tmp_path / "small"
    table(folder, "data/train", text=["one", "two"])
    files = "data_files: [{split: train, path: data/train-*}]"
    (folder / "README.md").write_text(f"---\nconfigs:\n- config_name: default\n  {files}\n---\n")
    return folder


def commit_of(dataset: str) -> str:
    return A if REVISIONS[dataset] == "main" else REVISIONS[dataset]


@dataclass(frozen=True)
class Filled:
    """A cache that was filled from a hub that is gone since."""

    client: Client
    address: str
    requests: list[str]
    answers: list[dict[str, Any]]


@pytest.fixture(scope="module")
def filled(mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> Filled:
    client = Client(tmp_path_factory.mktemp("hf"))
    repos = {(DATASETS, name): Repo(mirror / name, commit_of(name)) for name in REVISIONS}
    with serving(repos) as server:
        answers = client.ask(server.address, *(("rows", *wanted) for wanted in TASKS))
    return Filled(client, server.address, server.requests, answers)


def test_rows_by_name_are_those_of_a_data_root(mirror: Path, filled: Filled) -> None:
    rows = Rows(str(mirror))
    for wanted, by_name in zip(TASKS, filled.answers, strict=True):
        loaded, dataset = rows.load(*cell_of(*wanted)), SHIPPED.get(wanted[0]).dataset
        assert by_name["num_rows"] == len(loaded.examples) > 0, wanted
        assert by_name["first"] == json.loads(json.dumps(asdict(loaded.examples[0])))
        assert by_name["digest"] == rows.fingerprint(*cell_of(*wanted))
        counts = (by_name["num_dropped"], by_name["num_mended"])
        assert counts == (loaded.num_dropped, loaded.num_mended)
        assert by_name["commit"] == commit_of(dataset), wanted
    assert next(a for a in filled.answers if a["task"] == "hellaswag")["licence"] == "other"


def test_the_pinned_revision_is_asked_for_and_no_other(filled: Filled) -> None:
    for dataset in {SHIPPED.get(name).dataset for name, _, _ in TASKS}:
        revision = REVISIONS[dataset]
        paths = [line.split()[1] for line in filled.requests if f"/{dataset}/" in line]
        assert paths[0].startswith(f"/datasets/{dataset}/resolve/{revision}/")
        revisions = {path.split(f"/{dataset}/")[1].split("?")[0].split("/")[1] for path in paths}
        assert revisions == {revision, commit_of(dataset)}


@pytest.mark.parametrize("env", [{"HF_HUB_OFFLINE": "1"}, {}], ids=["offline", "closed"])
def test_without_the_hub_the_cache_gives_the_same_rows(filled: Filled, env: dict[str, str]) -> None:
    wanted = [("rows", *each) for each in TASKS]
    again = filled.client.ask(filled.address, *wanted, ("rows", "panx", "th", "test"), **env)
    *answers, nowhere = [{**answer, "seconds": 0} for answer in again]
    assert answers == [{**answer, "seconds": 0} for answer in filled.answers]
    assert nowhere["error"] == "NoRowsError"  # the mirror has no Thai, and the card says so
    # The client's own retries would take 24 s for each data set.
    num_data_sets = len({SHIPPED.get(name).dataset for name, _, _ in TASKS})
    assert sum(answer["seconds"] for answer in again) < 12 * num_data_sets


def unreachable_says(answer: dict[str, Any], reason: str) -> None:
    text = answer["text"]
    assert answer["error"] == "Refusal"
    assert f"cannot be reached ({reason}" in text
    assert "--data-root DIR" in text
    assert "`transfer-search data fetch STUDY`" in text
    assert "\n" not in text


def test_without_hub_and_cache_it_is_refused_at_once(client: Client) -> None:
    """The client would try for half a minute where nothing listens; for minutes where something
    listens and does not answer."""
    wanted = ("raw", "google/xtreme", "XQuAD.de", "validation", REVISIONS["google/xtreme"])
    with serving({}) as server:
        pass
    (closed,) = client.ask(server.address, wanted)
    unreachable_says(closed, "[Errno ")
    (offline,) = client.ask(server.address, wanted, HF_HUB_OFFLINE="1")
    unreachable_says(offline, "HF_HUB_OFFLINE is set")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        (mute,) = client.ask(address, wanted, HF_HUB_ETAG_TIMEOUT="1")
    unreachable_says(mute, "")
    assert max(answer["seconds"] for answer in (closed, offline, mute)) < 15


def test_what_the_hub_refuses_is_said(client: Client, small: Path) -> None:
    repos = {
        **hub(small=small),
        (DATASETS, "our/gated"): Repo(small, A, gated="all"),
        (DATASETS, "our/half"): Repo(small, A, gated="data"),
    }
    wanted = [
        ("raw", "our/nothing", None, "train", A),
        ("raw", "our/small", None, "train", B),
        ("raw", "our/gated", None, "train", A),
        ("raw", "our/half", None, "train", A),
    ]
    gated = "is gated: accept its terms on the hub, and set HF_TOKEN"
    with serving(repos) as server:
        for env in ({}, {"HF_TOKEN": "hf_made_up"}):  # without one 401, with one 403
            answers = client.ask(server.address, *wanted, **env)
            assert {answer["error"] for answer in answers} == {"Refusal"}
            texts = [answer["text"] for answer in answers]
            assert not any("\n" in text for text in texts)
            assert texts[0].startswith("data set 'our/nothing' is not on the hub;")
            assert texts[1] == f"data set 'our/small' has no revision {B!r} on the hub"
            assert texts[2].startswith(f"data set 'our/gated' {gated}")
            assert texts[3].startswith("data set 'our/half', config 'default'")
            assert gated in texts[3]
        server.status = 503
        (busy,) = client.ask(server.address, ("raw", "our/small", None, "train", A))
        unreachable_says(busy, "the hub answers 503")


def test_a_config_or_split_that_is_not_there(client: Client, small: Path) -> None:
    wanted = [("raw", "our/small", "other", "train", A), ("raw", "our/small", None, "test", A)]
    there = ("raw", "our/small", None, "train", A)
    with serving(hub(small=small)) as server:
        config, split, _ = client.ask(server.address, *wanted, there)
    assert (config["error"], split["error"]) == ("NoRowsError", "NoRowsError")
    assert config["text"] == "data set 'our/small' has no config 'other'"
    assert split["text"].endswith("config 'default' has no split 'test', only 'train'")
    texts = [answer["text"] for answer in client.ask(server.address, *wanted)]
    assert texts == [config["text"], split["text"]]  # the same from the cache


def test_a_pinned_revision_is_never_another_one_from_the_cache(client: Client, small: Path) -> None:
    here, there = (("raw", "our/small", None, "train", commit) for commit in (A, B))
    with serving(hub(small=small)) as server:
        assert client.ask(server.address, here)[0]["commit"] == A
        assert "has no revision" in client.ask(server.address, there)[0]["text"]
    unreachable_says(client.ask(server.address, there)[0], "[Errno ")
    with serving({}) as server:  # it was taken off the hub; what was pinned and read stays
        gone, kept = client.ask(server.address, there, here)
    assert "is not on the hub" in gone["text"]
    assert kept["commit"] == A


def test_main_moves_and_without_the_hub_it_is_the_latest_read(
    client: Client, small: Path, tmp_path: Path
) -> None:
    main = ("raw", "our/small", None, "train", "main")
    moved = tmp_path / "moved"
    table(moved, "train", text=["three"])  # without a card
    with serving(hub(small=small)) as server:
        first = client.ask(server.address, main)[0]
    assert (first["commit"], first["rows"][0]) == (A, {"text": "one"})
    with serving({(DATASETS, "our/small"): Repo(moved, B)}) as server:
        second = client.ask(server.address, main)[0]
    assert (second["commit"], second["rows"]) == (B, [{"text": "three"}])
    third, pinned = client.ask(server.address, main, ("raw", "our/small", None, "train", A))
    assert (third["commit"], third["rows"]) == (B, second["rows"])
    assert (pinned["commit"], pinned["rows"]) == (A, first["rows"])


CARD_OF_TWO = """---
dataset_info:
- config_name: first
  features:
  - name: label
    dtype: {class_label: {names: {'0': low, '1': high}}}
- config_name: second
  features:
  - name: label
    dtype: {class_label: {names: {'0': left, '1': right}}}
configs:
- {config_name: first, data_files: first/*, default: true}
- {config_name: second, data_files: second/*}
---
"""


@pytest.fixture
def two_configs(tmp_path: Path) -> Path:
    """Labels are named by the card alone; one of two configs is the default."""
    folder = tmp_path / "two"
    for config in ("first", "second"):
        table(folder, f"{config}/train", label=[1, 0])
    (folder / "README.md").write_text(CARD_OF_TWO)
    return folder


def test_the_card_names_the_labels_and_the_default_config(
    client: Client, two_configs: Path
) -> None:
    second, none = (("raw", "our/two", config, "train", A) for config in ("second", None))
    with serving(hub(two=two_configs)) as server:
        right = client.ask(server.address, second)[0]
        assert right["rows"] == [{"label": "right"}, {"label": "left"}]
        # Only `second` is in the cache, and it is not what no config means.
        unreachable_says(client.ask("http://127.0.0.1:9", none)[0], "[Errno ")
        high = client.ask(server.address, none)[0]
        assert high["rows"] == [{"label": "high"}, {"label": "low"}]
    again = client.ask(server.address, none, second)
    assert [answer["rows"] for answer in again] == [high["rows"], right["rows"]]


@pytest.fixture
def model_hub(encoder_folder: Path) -> Iterator[HubServer]:
    with serving({(MODELS, "our/tiny"): Repo(encoder_folder, A)}) as server:
        yield server


def test_an_encoder_by_name(
    client: Client, model_hub: HubServer, base: BaseEncoder, encoder_folder: Path
) -> None:
    there = ("encoder", "our/tiny", A)
    wanted = [there, ("encoder", "our/tiny", B), ("encoder", "our/nothing", A)]
    result, no_revision, nothing = client.ask(model_hub.address, *wanted)
    assert result["digest"] == base.weights_digest
    assert any(f"/our/tiny/resolve/{A}/model.safetensors" in r for r in model_hub.requests)
    assert no_revision["text"].startswith("encoder 'our/tiny' cannot be loaded: ")
    assert nothing["text"].startswith("encoder 'our/nothing' cannot be loaded: ")
    assert client.ask(model_hub.address, there, HF_HUB_OFFLINE="1")[0]["digest"] == result["digest"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["config.json", "pytorch_model.bin"], "has its weights only in a pickled file"),
        (["tiny.Q4_K_M.gguf"], "has its weights as GGUF (tiny.Q4_K_M.gguf)"),
    ],
)
def test_weights_in_other_files_are_refused_by_name(
    client: Client, tmp_path: Path, encoder_folder: Path, files: list[str], message: str
) -> None:
    """Not fetched either: `data fetch` would leave a cache that no study can be run from."""
    folder = tmp_path / "weights"
    folder.mkdir()
    for name in files:
        kept = encoder_folder / name
        (folder / name).write_bytes(kept.read_bytes() if kept.exists() else b"never read")
    with serving({(MODELS, "our/odd"): Repo(folder, A)}) as server:
        answers = client.ask(server.address, ("encoder", "our/odd", A), ("fetched", "our/odd", A))
        fetched = [r for r in server.requests if "/resolve/" in r and files[-1] in r]
    for answer in answers:
        assert answer["text"].startswith(f"encoder 'our/odd' {message}")
    assert not [request for request in fetched if request.startswith("GET")]


def test_an_encoder_in_the_cache_is_found_without_asking_the_hub(
    client: Client, model_hub: HubServer, base: BaseEncoder
) -> None:
    cached = ("cached", "our/tiny", A)
    before, _, after, other = client.ask(
        model_hub.address, cached, ("encoder", "our/tiny", A), cached, ("cached", "our/tiny", B)
    )
    assert (before["folder"], other["folder"]) == (None, None)
    assert BaseEncoder.load(after["folder"]).weights_digest == base.weights_digest
    num_requests = len(model_hub.requests)
    assert client.ask(model_hub.address, cached)[0]["folder"] == after["folder"]
    assert len(model_hub.requests) == num_requests
