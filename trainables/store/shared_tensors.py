"""Sets of tensors that several phases have in common: each set is stored once, under its digest.

```
tensors/<digest>/     tensors.safetensors, hashes.json
phases/<key>/shared.json     {"encoder": "<digest>"}
```
A phase that freezes a part of its encoder leaves these tensors as they were. So the frozen
embeddings of a multilingual encoder, most of its weights, are stored once for a whole study.
"""

import os
import uuid
from collections.abc import Mapping, Set
from pathlib import Path

from torch import Tensor

from trainables.store.folders import (
    CorruptedError,
    check_folder,
    read_document,
    read_tensors,
    rename_new,
    state_digest,
    write_folder,
)

TENSORS = "tensors"  # the folder of all sets, and the file of each
SHARED = "shared"  # the document of a phase that names its set
MIN_SHARE = 0.25  # of the encoder's bytes; a smaller set is not worth a file of its own


def split(state: Mapping[str, Tensor], unchanged: Set[str]) -> tuple[dict[str, Tensor], ...]:
    """(own, shared): the tensors of an encoder that a phase stores itself, and those `unchanged`
    ones that it shares. None are shared where they are few."""
    shared = {name: tensor for name, tensor in state.items() if name in unchanged}
    if sum(map(_num_bytes, shared.values())) < MIN_SHARE * sum(map(_num_bytes, state.values())):
        return dict(state), {}
    return {name: tensor for name, tensor in state.items() if name not in shared}, shared


def write_set(root: Path, tensors: Mapping[str, Tensor]) -> str:
    """Store a set below `root` unless it is there. Returns its digest."""
    digest = state_digest(tensors)
    folder = root / TENSORS / digest
    try:
        os.utime(folder)  # in use again: gc removes old sets that no phase names
    except FileNotFoundError:
        unfinished = folder.with_name(f"writing-{uuid.uuid4().hex}")
        write_folder(unfinished, {TENSORS: tensors}, {})
        rename_new(unfinished, folder)
    return digest


def read_set(root: Path, digest: str) -> dict[str, Tensor]:
    """The tensors of a set. Raises CorruptedError where they differ from what was written."""
    folder = root / TENSORS / digest
    check_folder(folder)
    return read_tensors(folder, TENSORS)


def digest_in(folder: Path) -> str | None:
    """The digest of the set that the phase in this folder shares; None where it stores all of its
    tensors itself. Raises CorruptedError where the document is damaged."""
    if not (folder / f"{SHARED}.json").exists():
        return None
    return parse_digest(read_document(folder, SHARED), folder)


def parse_digest(document: Mapping[str, object], folder: Path) -> str:
    """The digest in a phase's document. It becomes a path, so nothing else is taken. Raises
    CorruptedError."""
    digest = document.get("encoder") if isinstance(document, Mapping) else None
    if isinstance(digest, str) and len(digest) == 64 and digest.isalnum():
        return digest
    raise CorruptedError(folder / f"{SHARED}.json", f"{digest!r} is not a digest of tensors")


def _num_bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
