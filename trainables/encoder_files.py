"""The files of an encoder: which are read, and what their names say before anything is loaded."""

import os
import shutil
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

from spaces.refusal import Refusal, shown

CONFIG = "config.json"
READ = ("*.json", "*.safetensors", "*.model", "*.txt")  # config, tokenizer, weights
ENCODERS = "encoders"  # the folder of a data root that has encoders
PICKLED = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl"})
# What trainers write beside weights.
NO_WEIGHTS = frozenset({"training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth"})


def fault_of(names: Iterable[str]) -> str | None:
    """Why no weights can be read from files of these names: a sentence without its subject. None
    where there are safetensors, and where the names tell nothing."""
    listed = sorted(set(names) - NO_WEIGHTS)
    if any(name.endswith(".safetensors") for name in listed):
        return None
    for name in listed:
        if name.endswith(".gguf"):
            return (
                f"has its weights as GGUF ({name}), which llama.cpp reads and nobody can train; "
                "expected safetensors: name the model that this file was made from"
            )
    for name in listed:
        if Path(name).suffix in PICKLED:
            return (
                f"has its weights only in a pickled file ({name}), and reading such a file can run "
                "code; expected safetensors: if you trust the file, write them once with "
                "AutoModel.from_pretrained(...).save_pretrained(FOLDER) of transformers"
            )
    return None


def fault_on_hub(name: str, revision: str | None) -> str | None:
    """The same of a repository of the hub; None too where the hub does not answer."""
    from huggingface_hub import HfApi

    try:
        return fault_of(HfApi().list_repo_files(name, revision=revision))
    except (OSError, ValueError):  # offline, not there, or no name of the hub
        return None


def check_folder(folder: str | Path) -> None:
    """Raises Refusal for a folder that is not there or whose file names say that it is no encoder
    that can be read."""
    path = Path(folder)
    if not os.path.isdir(path):  # False for a name that is too long, too
        raise Refusal(
            f"encoder {shown(str(folder))} is not a folder here; expected one with {CONFIG}"
        )
    names = [entry.name for entry in path.iterdir()]
    fault = fault_of(names)
    if fault is None and CONFIG not in names:
        fault = f"has no {CONFIG}; expected the folder that save_pretrained wrote"
    if fault is not None:
        raise Refusal(f"encoder {str(folder)!r} {fault}")


def copy_encoder(source: Path, target: Path) -> None:
    """Copy the files that are read into a new folder; links are followed. Folders below it
    (`onnx/`, `1_Pooling/`) are not copied."""
    target.mkdir(parents=True)
    for path in sorted(source.iterdir()):
        if path.is_file() and any(fnmatch(path.name, pattern) for pattern in READ):
            shutil.copyfile(path, target / path.name)
