"""The MLmodel file of a logged model folder: how MLflow's own loaders read it. Nothing pickled."""

import json
import shutil
from pathlib import Path
from typing import Any

# Of the heads that an exported folder may have, the one that transformers 5 has a pipeline for.
WITH_PIPELINE = "ForTokenClassification"
OUTCOMES = "outcomes.safetensors"  # what each test row got
# What a logged folder has beside ours.
ADDED = ("MLmodel", "requirements.txt", "components", OUTCOMES)


def write_mlmodel(
    extra: Path, folder: Path, model_id: str, run_id: str, loader_module: str
) -> None:
    """What makes a plain folder loadable by `mlflow.pyfunc`: our own loader, nothing pickled. Where
    transformers has a pipeline for it, `mlflow.transformers` loads it too."""
    from mlflow import pyfunc
    from mlflow.models import Model

    model = Model(run_id=run_id, model_id=model_id, artifact_path=f"models:/{model_id}")
    pyfunc.add_to_model(model, loader_module=loader_module)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for architecture in config.get("architectures") or ():
        if architecture.endswith(WITH_PIPELINE):
            _add_pipeline(model, extra, folder, architecture)
    model.save(str(extra / "MLmodel"))


def _add_pipeline(model: Any, extra: Path, folder: Path, architecture: str) -> None:
    """The flavor as `mlflow.transformers.save_model` would write it; it wants the tokenizer in a
    folder of its own."""
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    components = extra / "components" / "tokenizer"
    components.mkdir(parents=True)
    for path in folder.glob("*token*.json"):
        shutil.copy(path, components)
    model.add_flavor(
        "transformers",
        task="token-classification",
        instance_type="TokenClassificationPipeline",
        pipeline_model_type=architecture,
        model_binary=".",
        components=["tokenizer"],
        tokenizer_type=tokenizer["tokenizer_class"],
        code=None,
    )
