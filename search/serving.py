"""What `mlflow.pyfunc.load_model` calls to load a registered model: our own code, no pickle."""

import importlib
from pathlib import Path
from typing import Any


def load_predictor(folder: Path) -> Any:
    """An object with `predict`, made of the plain folder of model files."""
    # Imported when a model is loaded, since it brings torch.
    return importlib.import_module("trainables.export").load_predictor(folder)


def _load_pyfunc(path: str) -> Any:
    """The name and signature that MLflow asks for."""
    return load_predictor(Path(path))
