"""Weights and training state on disk: safetensors and JSON with their hashes, never a pickle."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

HASHES = "hashes.json"


class CorruptedError(Exception):
    """A stored file differs from what was written. `path` is that file."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path


def write_folder(
    folder: Path,
    tensors: Mapping[str, Mapping[str, Tensor]],
    documents: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write `<name>.safetensors` and `<name>.json` files and their hashes into a new folder.

    The hashes are written last, and everything is flushed to disk, so that a folder with a hash
    file is complete. The caller then renames it to its final name.
    """
    folder.mkdir(parents=True)
    hashes = {}
    for name, state in tensors.items():
        path = folder / f"{name}.safetensors"
        save_file(_apart(state), path)
        hashes[path.name] = _hash(path)
    for name, document in documents.items():
        path = folder / f"{name}.json"
        path.write_text(json.dumps(document, sort_keys=True, indent=1, allow_nan=False))
        hashes[path.name] = _hash(path)
    (folder / HASHES).write_text(json.dumps(hashes, sort_keys=True, indent=1))
    for path in [*folder.iterdir(), folder]:
        _flush(path)


def _apart(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors on the CPU, with a copy of those that share memory with one before them:
    safetensors writes none of these (T5 holds its embeddings under two names)."""
    apart: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, value in state.items():
        tensor = value.detach().cpu().contiguous()
        place = tensor.untyped_storage().data_ptr()
        apart[name] = tensor.clone() if place in seen else tensor
        seen.add(place)
    return apart


def check_folder(folder: Path, *, only: str | None = None) -> None:
    """Raises CorruptedError unless every file (or only the file `only`) has the hash that it was
    written with."""
    try:
        hashes = json.loads((folder / HASHES).read_text())
        if not isinstance(hashes, dict) or not hashes:
            raise CorruptedError(folder / HASHES, "it lists no files")
        for name in hashes if only is None else [only]:
            if _hash(folder / name) != hashes.get(name):
                raise CorruptedError(folder / name, "its bytes differ from those that were written")
    except (OSError, ValueError) as error:
        raise CorruptedError(folder, str(error)) from error


def read_tensors(folder: Path, name: str) -> dict[str, Tensor]:
    """The tensors in `<name>.safetensors`. Raises CorruptedError where they cannot be read."""
    try:
        return load_file(folder / f"{name}.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise CorruptedError(folder / f"{name}.safetensors", str(error)) from error


def read_document(folder: Path, name: str) -> dict[str, Any]:
    """The content of `<name>.json`. Raises CorruptedError where it cannot be read."""
    try:
        document: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    except (OSError, ValueError) as error:
        raise CorruptedError(folder / f"{name}.json", str(error)) from error
    return document


def rename_new(source: Path, target: Path) -> bool:
    """Rename a written folder to its final name. Where that name is taken, the folder is removed
    and False is returned."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.rename(source, target)  # never replaces a folder that has content
    except OSError:
        if not target.exists():
            raise
        shutil.rmtree(source, ignore_errors=True)
        return False
    _flush(target.parent)
    return True


def state_digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of the names, types, shapes and bytes of all tensors, in hexadecimal."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's tensors under flat names `<parameter>.<slot>`."""
    state = optimizer.state_dict()["state"]
    return {f"{p}.{slot}": tensor for p, slots in state.items() for slot, tensor in slots.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `optimizer_tensors`, into an optimizer that was built in the same way."""
    content = optimizer.state_dict()
    content["state"] = {}
    for name, tensor in tensors.items():
        parameter, _, slot = name.partition(".")
        content["state"].setdefault(int(parameter), {})[slot] = tensor
    optimizer.load_state_dict(content)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
