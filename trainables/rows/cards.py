"""The folder, the card (README.md) and the licences of a data set."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from spaces.refusal import Refusal, first_line, shown, unknown
from trainables.encoder_files import ENCODERS

LICENCES = "licences.json"  # in a data root: data set -> config -> {"licence": ...}
CARD = "README.md"


class _Entry(BaseModel):
    licence: str


_LICENCES = TypeAdapter(dict[str, dict[str, _Entry]])


def find_folder(dataset: str, data_root: str | None) -> Path | None:
    """The data set's folder under the data root, or, without a data root, in the current folder;
    None is the hub. Raises Refusal for a data set that the data root lacks."""
    if data_root is None:
        return Path(dataset) if Path(dataset).is_dir() else None
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    try:
        validate_repo_id(dataset)
    except HFValidationError:
        raise Refusal(
            f"{dataset!r} is not a name of a data set on the hub; expected OWNER/NAME"
        ) from None
    root = Path(data_root)
    if not root.is_dir():
        raise Refusal(f"data root {data_root!r} is not a folder; expected one in the hub's layout")
    if not (root / dataset).is_dir():
        listed = [f for f in root.glob("*/*") if f.is_dir() and f.parent.name != ENCODERS]
        names = sorted(str(f.relative_to(root)) for f in listed)
        raise unknown(f"data set in data root {data_root!r}", dataset, names)
    return root / dataset


def licence_of(
    dataset: str, config: str | None, data_root: str | None, commit: str = ""
) -> str | None:
    """The licence of a config: from the data root's licences.json, else from the data set's card.
    For a data set of the hub it is the card of the commit that the rows were read from."""
    file = Path(data_root) / LICENCES if data_root is not None else None
    if file is not None and file.exists():
        listed = _read_licences(file).get(dataset, {})
        alone = next(iter(listed.values())) if config is None and len(listed) == 1 else None
        entry = listed.get(config or "default", alone)
        if entry is not None:
            return entry.licence
    folder = find_folder(dataset, data_root)
    licence = card_of(dataset, folder, commit).get("license")
    return str(licence) if licence else None


def _read_licences(file: Path) -> dict[str, dict[str, _Entry]]:
    """Data set -> config -> its entry. Raises Refusal, which names what is wrong."""
    try:
        return _LICENCES.validate_json(file.read_text(encoding="utf-8-sig"))
    except ValidationError as error:
        (first, *_) = error.errors()
        at = " -> ".join(shown(part) for part in first["loc"])
        raise Refusal(
            f"{file} is not a list of licences ({first['msg']}{at and ' at '}{at}); expected "
            '{"OWNER/NAME": {"CONFIG": {"licence": "TEXT"}}} as JSON'
        ) from None
    except (OSError, ValueError) as error:
        raise Refusal(f"{file} cannot be read: {first_line(error)}") from error


def card_of(dataset: str, folder: Path | None, commit: str | None) -> dict[str, Any]:
    """The metadata at the head of the README.md, in a folder or in the hub's cache; empty where
    there is none."""
    from huggingface_hub import DatasetCard, try_to_load_from_cache

    path: Any = folder and folder / CARD
    if folder is None:
        path = try_to_load_from_cache(dataset, CARD, repo_type="dataset", revision=commit or None)
    try:
        return DatasetCard.load(path).data.to_dict() if isinstance(path, str | Path) else {}
    except (OSError, ValueError):
        return {}


def configs(dataset: str, commit: str | None) -> list[dict[str, Any]]:
    """The configs that the card lists; empty where the card is not in the cache."""
    return card_of(dataset, None, commit).get("configs") or [] if commit else []


def default_config(dataset: str, commit: str) -> str:
    """The config that `datasets` reads where none is named."""
    listed = configs(dataset, commit)
    chosen = listed if len(listed) == 1 else [entry for entry in listed if entry.get("default")]
    return str(chosen[0]["config_name"]) if chosen else "default"
