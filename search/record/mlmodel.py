"""Writes the MLmodel file of a logged model folder, so that MLflow's loaders can read the folder
without pickle."""

import json
import shutil
from pathlib import Path
from typing import Any

# What ends the name of a class of transformers -> the pipeline that transformers 5 has for it.
PIPELINES = {
    "ForTokenClassification": ("token-classification", "TokenClassificationPipeline"),
    "ForSequenceClassification": ("text-classification", "TextClassificationPipeline"),
}
OUTCOMES = "outcomes.safetensors"  # outcomes of each test row
# Files of a logged folder that are not model files.
ADDED = ("MLmodel", "requirements.txt", "components", OUTCOMES)


def write_mlmodel(
    extra: Path, folder: Path, model_id: str, run_id: str, loader_module: str
) -> None:
    """Write what `mlflow.pyfunc` needs to load a model folder with our own loader, without pickle.
    If transformers has a pipeline for the model, `mlflow.transformers` can load it too."""
    from mlflow import pyfunc
    from mlflow.models import Model

    model = Model(run_id=run_id, model_id=model_id, artifact_path=f"models:/{model_id}")
    pyfunc.add_to_model(model, loader_module=loader_module)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for architecture in config.get("architectures") or ():
        for end, pipeline in PIPELINES.items():
            if architecture.endswith(end):
                _add_pipeline(model, extra, folder, architecture, pipeline)
    model.save(str(extra / "MLmodel"))


def _add_pipeline(
    model: Any, extra: Path, folder: Path, architecture: str, pipeline: tuple[str, str]
) -> None:
    """Add the flavor that `mlflow.transformers.save_model` would write; it needs the tokenizer in a
    separate folder."""
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    tokenizer_folder = extra / "components" / "tokenizer"
    tokenizer_folder.mkdir(parents=True)
    for path in folder.glob("*token*.json"):
        shutil.copy(path, tokenizer_folder)
    model.add_flavor(
        "transformers",
        task=pipeline[0],
        instance_type=pipeline[1],
        pipeline_model_type=architecture,
        model_binary=".",
        components=["tokenizer"],
        tokenizer_type=tokenizer["tokenizer_class"],
        code=None,
    )
