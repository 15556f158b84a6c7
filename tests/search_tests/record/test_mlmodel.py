"""What MLflow's own loaders make of a registered folder."""

from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
import yaml

from search.record.registry import RegisteredModel
from trainables.exporting.predictor import load_predictor

Add = Callable[..., RegisteredModel]


def flavors(model: RegisteredModel) -> set[str]:
    folder = Path(model.location.removeprefix("file://"))
    assert not list(folder.rglob("*.pkl"))
    return set(yaml.safe_load((folder / "MLmodel").read_text())["flavors"])


def test_a_tagger_is_a_pipeline_of_transformers(
    uri: str, add: Add, model_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = add("tiny-pos", "tiny", "pos")
    assert flavors(model) == {"python_function", "transformers"}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    pipeline = mlflow.transformers.load_model(model.uri)
    words = ["uno", "dos", "Paris", "lunes"]
    (tags,) = load_predictor(model_folder("pos")).predict([{"words": words}])
    text, found = " ".join(words), pipeline(" ".join(words), ignore_labels=[])
    starts = [text.index(word) for word in words]
    # A word's tag is its first piece's, and the space before a word is a piece of it.
    by_start = {entity["start"]: entity["entity"] for entity in reversed(found)}
    assert [by_start.get(start - 1, by_start.get(start)) for start in starts] == tags
    assert mlflow.pyfunc.load_model(model.uri).predict([{"words": words}]) == [tags]


def test_where_transformers_has_no_such_pipeline_there_is_our_loader_alone(add: Add) -> None:
    assert flavors(add("tiny-rel", "tiny", "rel")) == {"python_function"}
    assert flavors(add("tiny-qakind", "tiny", "qakind")) == {"python_function"}


def test_a_classifier_is_a_pipeline_of_transformers(
    uri: str, add: Add, model_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = add("tiny-rel", "tiny", "rel", pooling="first")
    assert flavors(model) == {"python_function", "transformers"}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    pipeline = mlflow.transformers.load_model(model.uri)
    rows = [{"text_a": "uno", "text_b": "dos"}, {"text_a": "uno dos " * 90, "text_b": "Paris"}]
    ours = load_predictor(model_folder("rel", "first")).answer(rows)
    for row, answer in zip(rows, ours, strict=True):
        asked = {"text": row["text_a"], "text_pair": row["text_b"]}
        (found,) = pipeline([asked], truncation=True)
        assert found["label"] == answer["label"]
        assert found["score"] == pytest.approx(max(answer["probabilities"].values()), abs=1e-5)
    labels = [answer["label"] for answer in ours]
    assert mlflow.pyfunc.load_model(model.uri).predict(rows) == labels


def test_a_chooser_has_our_loader_alone(add: Add) -> None:
    """Transformers has the class, but no pipeline."""
    assert flavors(add("tiny-fact", "tiny", "fact", pooling="first")) == {"python_function"}
