"""Files of a run in MLflow, through a client: documents, files from disk, and back."""

import gzip
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from search.record.outbox import UndeliverableError


def put_files(client: Any, run_id: str, files: Mapping[str, Any]) -> None:
    """Documents by file name, which may have folders in it: text as it stands, rows as a table
    where the name ends in `.parquet`, anything else as JSON, packed where it ends in `.gz`."""
    with tempfile.TemporaryDirectory(prefix="transfer-search-") as folder:
        for name, content in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith(".parquet"):
                pyarrow.parquet.write_table(pyarrow.Table.from_pylist(content), path)
            elif name.endswith(".json.gz"):
                text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
                path.write_bytes(gzip.compress(text.encode(), mtime=0))
            elif isinstance(content, str):
                path.write_text(content, encoding="utf-8")
            else:
                text = json.dumps(content, ensure_ascii=False, indent=1)
                path.write_text(text, encoding="utf-8")
        client.log_artifacts(run_id, folder)


def put_inputs(client: Any, run_id: str, inputs: Sequence[Mapping[str, str]]) -> None:
    """Data sets by name and digest; MLflow keeps one of each, and one link to the run."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    found = [
        DatasetInput(
            Dataset(
                name=given["name"],
                digest=given["digest"],
                source_type="hugging_face",
                source=json.dumps({name: given[name] for name in ("path", "revision")}),
            ),
            [InputTag("mlflow.data.context", given["context"])],
        )
        for given in inputs
    ]
    client.log_inputs(run_id, found)


def put_paths(client: Any, run_id: str, paths: Mapping[str, str]) -> None:
    """Files on disk, by their path in the run's artifacts. Undeliverable where one is gone: it
    will not come back, and shall not block what waits behind it."""
    with tempfile.TemporaryDirectory(prefix="transfer-search-") as folder:
        for name, path in paths.items():
            target = Path(folder, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(path, target)
            except FileNotFoundError as error:
                raise UndeliverableError(f"{name} cannot be sent: {path} is gone") from error
        client.log_artifacts(run_id, folder)


def read_json(client: Any, run_id: str, location: str, name: str) -> Any:
    """A document, or None if the run has none of this name.

    Args:
        location: the address of the run's artifacts. By the run's id alone MLflow asks its server
            for the run, with all its metrics, three times a file.
    """
    from mlflow.artifacts import download_artifacts

    with tempfile.TemporaryDirectory(prefix="transfer-search-") as folder:
        try:
            path = Path(
                download_artifacts(
                    artifact_uri=f"{location}/{name}",
                    dst_path=folder,
                    tracking_uri=client.tracking_uri,
                )
            )
            content = path.read_bytes()
            return json.loads(gzip.decompress(content) if name.endswith(".gz") else content)
        except Exception:
            if any(file.path == name for file in client.list_artifacts(run_id)):
                raise
            return None


def fetch(client: Any, run_id: str, name: str, into: Path) -> list[Path]:
    """Bring the files of one folder of the run here; none where the run has no such folder."""
    if not any(file.path == name for file in client.list_artifacts(run_id)):
        return []
    folder = Path(client.download_artifacts(run_id, name, str(into)))
    return sorted(path for path in folder.iterdir() if path.is_file())
