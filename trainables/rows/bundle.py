"""bundle: a folder in the hub's layout with just the splits that are asked for, for `--data-root`.

```
OWNER/NAME/CONFIG/SPLIT-00000-of-00001.parquet    (CONFIG is `data` where a data set has but one)
OWNER/NAME/README.md                              which configs there are, and the licence
FOLDER/LANGUAGE/SPLIT.jsonl (or .parquet)         rows of one's own, as they are
licences.json  SOURCES.json  SHA256SUMS           of all data sets
README.md                                         what the folder is, and what was not copied
```
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spaces.origin import Layout
from spaces.refusal import Refusal
from trainables.rows.cards import CARD, LICENCES, licence_of
from trainables.rows.folders import copy_own
from trainables.rows.hub import copy_split

SUMS, SOURCES = "SHA256SUMS", "SOURCES.json"
LICENSED = {
    Layout.CCGBANK: "CCGbank is under the LDC's licence (LDC2005T13)",
    Layout.BUCC: "BUCC 2018's corpora are to be had from its shared task alone",
}


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """One split of one config of a data set; `revision` is the one that is pinned."""

    dataset: str
    config: str
    split: str
    revision: str

    @property
    def place(self) -> Path:
        """Where it lies below the bundle's folder."""
        return Path(self.dataset, self.config or "data", f"{self.split}-00000-of-00001.parquet")


@dataclass(frozen=True, slots=True, order=True)
class OwnPart:
    """One split of one config of a folder of one's own; `folder` as the task's entry names it."""

    folder: str
    config: str
    split: str
    layout: Layout

    @property
    def why_left(self) -> str | None:
        """Why it is not copied; None where it is."""
        if self.layout in LICENSED:
            return LICENSED[self.layout]
        named = Path(self.folder).expanduser()
        if named.is_absolute() or ".." in named.parts:
            return "it is not named below a data root, so a copy would not be read"
        return None


def write_bundle(
    folder: Path,
    parts: Sequence[Part],
    own: Sequence[OwnPart] = (),
    *,
    data_root: str | None,
    on_done: Callable[[int, int], None],
) -> None:
    """Copy the parts from the hub (or from another data root) and from folders of one's own into a
    new folder, and name the folders that are not copied. Raises Refusal."""
    copied = [part for part in own if part.why_left is None]
    commits = _copy_hub(folder, parts, data_root, lambda at: on_done(at, len(parts) + len(copied)))
    for done, mine in enumerate(copied, start=len(parts) + 1):
        copy_own(mine.folder, mine.config or None, mine.split, folder, data_root=data_root)
        on_done(done, len(parts) + len(copied))
    licences: dict[str, dict[str, Mapping[str, str]]] = defaultdict(dict)
    for dataset, config in sorted({(part.dataset, part.config) for part in parts}):
        licence = licence_of(dataset, config or None, data_root, commits[dataset]) or "unknown"
        licences[dataset][config or "default"] = {"licence": licence}
    for dataset in licences:
        of_all = licence_of(dataset, None, data_root, commits[dataset])
        _write_card(folder, dataset, [p for p in parts if p.dataset == dataset], of_all)
    sources = {
        part.dataset: {"revision": part.revision, "commit": commits[part.dataset]} for part in parts
    }
    for name, content in ((LICENCES, licences), (SOURCES, sources)):
        (folder / name).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
    lines = ["Rows that one study reads, copied by `data bundle`; read with `--data-root`.\n"]
    lines += [f"- not copied: {line}\n" for line in left_out(own)]
    (folder / CARD).write_text("\n".join(lines), encoding="utf-8")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sums = [f"{_sha256(path)}  {path.relative_to(folder)}\n" for path in files]
    (folder / SUMS).write_text("".join(sums))


def left_out(own: Sequence[OwnPart]) -> list[str]:
    """A line for every folder that is not copied: why, and that it is needed."""
    reasons = {part.folder: part.why_left for part in own if part.why_left is not None}
    return [
        f"{folder!r}: {why}; where the study runs, it must be there"
        for folder, why in sorted(reasons.items())
    ]


def _copy_hub(
    folder: Path, parts: Sequence[Part], data_root: str | None, on_done: Callable[[int], None]
) -> dict[str, str]:
    """The commit that each data set was read from."""
    commits: dict[str, str] = {}
    for done, part in enumerate(parts, start=1):
        commits[part.dataset] = copy_split(
            part.dataset,
            part.config or None,
            part.split,
            folder / part.place,
            revision=part.revision or None,
            data_root=data_root,
        )
        on_done(done)
    return commits


def check_sums(folder: Path, datasets: Sequence[str]) -> list[str]:
    """What is wrong with the files of these data sets by the folder's SHA256SUMS; nothing where
    it has none. Raises Refusal if that file cannot be read."""
    sums = folder / SUMS
    if not sums.exists():
        return []
    try:
        lines = [line.split(maxsplit=1) for line in sums.read_text(encoding="utf-8").splitlines()]
        listed = {Path(name.lstrip("*")).as_posix(): digest for digest, name in lines}
    except (OSError, ValueError) as error:
        raise Refusal(f"{sums} cannot be read: {error}; expected lines of `sha256sum`") from error
    wrong = []
    for name, digest in listed.items():
        if not name.startswith(tuple(f"{dataset}/" for dataset in datasets)):
            continue
        path = folder / name
        if not path.exists():
            wrong.append(f"{name} is listed in {SUMS} and not there; copy the folder again")
        elif _sha256(path) != digest:
            wrong.append(f"{name} is not the file that {SUMS} lists; copy the folder again")
    return wrong


def _write_card(folder: Path, dataset: str, parts: Sequence[Part], licence: str | None) -> None:
    """The README.md by which `datasets` finds the configs and splits that are there."""
    from huggingface_hub import DatasetCardData

    files: dict[str, list[dict[str, str]]] = defaultdict(list)
    for part in parts:
        path = part.place.relative_to(dataset).as_posix()
        files[part.config or "default"].append({"split": part.split, "path": path})
    configs = [{"config_name": name, "data_files": found} for name, found in files.items()]
    card = DatasetCardData(license=licence, configs=configs)
    text = f"---\n{card.to_yaml()}\n---\n\nA part of `{dataset}`, copied by `data bundle`.\n"
    (folder / dataset / "README.md").write_text(text, encoding="utf-8")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
