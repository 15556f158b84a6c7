"""The seam that MLflow calls (the whole way is tested in test_recording)."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas
import pytest

from search import serving


class Predictor:
    """Gives back the rows it is given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def predict(self, rows: list[dict[str, Any]]) -> list[Any]:
        return rows


def test_a_model_folder_is_handed_to_our_own_loader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = ModuleType("trainables.predictor")
    vars(fake)["load_predictor"] = Predictor
    monkeypatch.setitem(sys.modules, "trainables.predictor", fake)
    served = serving._load_pyfunc(str(tmp_path))
    assert served.predictor.folder == tmp_path
    rows = [{"text": "a"}, {"text": "b"}]
    assert served.predict(rows) == rows
    assert served.predict(pandas.DataFrame(rows)) == rows
