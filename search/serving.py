"""What `mlflow.pyfunc.load_model` calls to load a registered model: our own code, no pickle."""

import importlib
from pathlib import Path
from typing import Any


class ServedPredictor:
    """The predictor behind MLflow's interface, which hands rows over as a table."""

    def __init__(self, predictor: Any) -> None:
        self.predictor = predictor

    def predict(self, rows: Any, params: dict[str, Any] | None = None) -> list[Any]:
        """One prediction a row of a data frame, or of a list of dicts."""
        records = rows.to_dict("records") if hasattr(rows, "to_dict") else list(rows)
        predictions: list[Any] = self.predictor.predict(records)
        return predictions


def load_predictor(folder: Path) -> Any:
    """An object with `predict`, made of the plain folder of model files."""
    # Imported when a model is loaded, since it brings torch.
    return importlib.import_module("trainables.exporting.predictor").load_predictor(folder)


def _load_pyfunc(path: str) -> ServedPredictor:
    """The name and signature that MLflow asks for."""
    return ServedPredictor(load_predictor(Path(path)))
