"""Writes and reads the files of a run in MLflow: documents, and files from disk."""

import gzip
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from search.outbox.outbox import UndeliverableError


def put_files(client: Any, run_id: str, files: Mapping[str, Any]) -> None:
    """Write documents as artifacts of a run.

    Args:
        client: MLflow client.
        run_id: id of the run.
        files: file name, with folders -> content. Content is written as a table if the name ends in
            `.parquet`, unchanged if it is text, and else as JSON, compressed for `.json.gz`.
    """
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
    """Link data sets to a run; MLflow stores each name and digest once, and one link per run."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    datasets = [
        DatasetInput(
            Dataset(
                name=dataset["name"],
                digest=dataset["digest"],
                source_type="hugging_face",
                source=json.dumps({name: dataset[name] for name in ("path", "revision")}),
            ),
            [InputTag("mlflow.data.context", dataset["context"])],
        )
        for dataset in inputs
    ]
    client.log_inputs(run_id, datasets)


def put_paths(client: Any, run_id: str, paths: Mapping[str, str]) -> None:
    """Copy files from disk to artifacts of a run; `paths` is artifact name -> path on disk.

    Raises UndeliverableError if a file no longer exists: trying again would not help, and would
    block the entries after this one.
    """
    with tempfile.TemporaryDirectory(prefix="transfer-search-") as folder:
        for name, path in paths.items():
            target = Path(folder, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(path, target)
            except FileNotFoundError as error:
                raise UndeliverableError(
                    f"{name} cannot be sent, because {path} no longer exists"
                ) from error
        client.log_artifacts(run_id, folder)


def read_json(client: Any, run_id: str, location: str, name: str) -> Any:
    """Return a JSON document of a run; None if the run has none of this name.

    Args:
        client: MLflow client.
        run_id: id of the run.
        location: URI of the run's artifacts. With the run's id only, MLflow would request the run
            with all its metrics from the server three times per file.
        name: name of the document, with folders.
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
    """Download the files of one folder of the run; the list is empty if there is no such folder."""
    if not any(file.path == name for file in client.list_artifacts(run_id)):
        return []
    folder = Path(client.download_artifacts(run_id, name, str(into)))
    return sorted(path for path in folder.iterdir() if path.is_file())
