"""Names, versions and the champion in a real registry; damaged and foreign models."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from search.record.mlflow_client import connect
from search.record.registry import RegisteredModel, Registry, folder_digest
from search.winner.predict import load_model
from spaces.refusal import Refusal
from trainables.scoring import outcomes

Add = Callable[..., RegisteredModel]


def test_versions_and_the_champion(uri: str, add: Add) -> None:
    registry = Registry.open(uri)
    assert registry.champion("tiny-rel") is None
    registry.check_owner("tiny-rel", "tiny")
    first = add("tiny-rel", "tiny")
    assert add("tiny-rel", "tiny") == first, "the same files are the same version"
    assert first.tags["task"] == "rel"
    assert registry.champion("tiny-rel") is None
    registry.crown(first)
    assert registry.champion("tiny-rel") == first
    assert registry.find("models:/tiny-rel/1") == registry.find("models:/tiny-rel@champion")
    for wrong, message in (
        ("models:/tiny-rell/1", "unknown registered model 'tiny-rell'. Did you mean 'tiny-rel'"),
        ("models:/tiny-rel/2", "unknown version of model 'tiny-rel' '2'.*Known: 1"),
        ("models:/tiny-rel@champ", "alias of model 'tiny-rel' 'champ'. Did you mean 'champion'"),
        ("models:/tiny-rel", "expected models:/NAME/VERSION"),
        ("runs:/tiny-rel/1", "expected models:/NAME/VERSION"),
    ):
        with pytest.raises(Refusal, match=message):
            registry.find(wrong)


def test_names_of_others_are_left_alone(uri: str, add: Add) -> None:
    connect(uri).create_registered_model("their-model")
    add("tiny-rel", "tiny")
    registry = Registry.open(uri)
    with pytest.raises(
        Refusal, match="already has a model 'their-model', which was not registered by transf"
    ):
        registry.check_owner("their-model", "tiny")
    with pytest.raises(Refusal, match="which belongs to study 'tiny'"):
        add("tiny-rel", "other")
    assert not connect(uri).search_model_versions("name = 'their-model'")
    assert len(connect(uri).search_model_versions("name = 'tiny-rel'")) == 1


def test_what_rows_got_stays_with_a_version(uri: str, add: Add, tmp_path: Path) -> None:
    """It is none of the model's files: their digest is the same without it."""
    registry, file = Registry.open(uri), tmp_path / "rows.safetensors"
    outcomes.write(file, outcomes.ByLanguage({"de": outcomes.of_values([1, 0, 1])}))
    model = add("tiny-rel", "tiny", outcomes=file)
    file.unlink()
    found = registry.outcomes(model)
    assert found is not None
    assert {code: array.tolist() for code, array in found.items()} == {"de": [1, 0, 1]}
    with registry.files(model) as folder:
        assert (folder / "outcomes.safetensors").exists()
        assert folder_digest(folder) == model.tags["sha256"]
        (folder / "outcomes.safetensors").write_bytes(b"damaged")
    assert registry.outcomes(model) is None
    assert [version.version for version in registry.versions("tiny-rel")] == ["1"]
    assert registry.versions("nobody's") == []
    assert registry.outcomes(add("tiny-pos", "tiny", "pos")) is None


def test_a_model_answers_by_its_name_unless_its_files_changed(uri: str, add: Add) -> None:
    model = add("tiny-rel", "tiny")
    rows = [{"text_a": "uno", "text_b": "dos"}]
    (answer,) = load_model("models:/tiny-rel/1", tracking_uri=uri).predict(rows)
    assert answer in ("follows", "wrong", "unrelated")
    folder = Path(model.location.removeprefix("file://"))
    about = json.loads((folder / "transfer_search.json").read_text())
    (folder / "transfer_search.json").write_text(json.dumps({**about, "max_length": 32}))
    with pytest.raises(Refusal, match="version 1 of model 'tiny-rel' are not those that were regi"):
        load_model("models:/tiny-rel/1", tracking_uri=uri)
    (folder / "transfer_search.json").unlink()
    with pytest.raises(Refusal, match="some were changed or deleted"):
        load_model("models:/tiny-rel/1", tracking_uri=uri)
    shutil.rmtree(folder)
    with pytest.raises(Refusal, match="restore MLflow's artifacts") as caught:
        load_model("models:/tiny-rel/1", tracking_uri=uri)
    assert "\n" not in str(caught.value)
