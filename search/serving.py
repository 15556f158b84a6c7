"""What `mlflow.pyfunc.load_model` calls to load a registered model: our own code, no pickle."""

import importlib
from pathlib import Path
from typing import Any

PREDICTOR_MODULE = "trainables.export"


def _load_pyfunc(path: str) -> Any:
    """A predictor (an object with `predict`) of the plain folder that a model is."""
    # Imported when a model is loaded, since it brings torch.
    return importlib.import_module(PREDICTOR_MODULE).load_predictor(Path(path))
