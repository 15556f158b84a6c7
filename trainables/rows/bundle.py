"""bundle: writes a folder in the hub's layout with the splits of a study, for `--data-root`.

```
OWNER/NAME/CONFIG/SPLIT-00000-of-00001.parquet    (CONFIG is `data` where there is only one)
OWNER/NAME/README.md                              its configs and its licence
FOLDER/LANGUAGE/SPLIT.jsonl (or .parquet)         your own rows, unchanged
encoders/OWNER/NAME/config.json, ...              the study's encoder (`place_of_encoder`)
licences.json  SOURCES.json  SHA256SUMS           of all data sets and of the encoder
README.md                                         what the folder is, and what was not copied
```
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spaces.refusal import Refusal, shown
from spaces.study_file.study import StudySettings
from spaces.tasks.origin import Layout
from trainables.encoder_files import ENCODERS
from trainables.rows.cards import CARD, LICENCES, licence_of
from trainables.rows.folders import copy_own, is_below
from trainables.rows.hub import copy_split

SUMS, SOURCES = "SHA256SUMS", "SOURCES.json"
# A line of `sha256sum`, and one of BSD's `sha256`, `shasum --tag` or `openssl dgst -sha256`.
_GNU_LINE = re.compile(r"(?P<escaped>\\?)(?P<digest>[0-9a-fA-F]{64})[ \t]+\*?(?P<name>.+)")
_BSD_LINE = re.compile(
    r"(?P<escaped>\\?)SHA(?:2-)?256 ?\((?P<name>.+)\) ?= ?(?P<digest>[0-9a-fA-F]{64})"
)
_ESCAPES = {r"\n": "\n", r"\r": "\r", r"\\": "\\"}
LICENSED = {
    Layout.CCGBANK: "the LDC's licence (LDC2005T13) does not allow copies of CCGbank",
    Layout.XTREME: "XTREME's own files are made by its download script",
    Layout.BUCC: "only its shared task may hand out the corpora of BUCC 2018",
}


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """One split of one config of a data set on the hub. `revision` is the pinned one."""

    dataset: str
    config: str
    split: str
    revision: str

    @property
    def path(self) -> Path:
        """The path of its file, relative to the bundle's folder."""
        return Path(self.dataset, self.config or "data", f"{self.split}-00000-of-00001.parquet")


@dataclass(frozen=True, slots=True, order=True)
class OwnPart:
    """One split of one config of a folder of your own. `folder` is as in the task's entry."""

    folder: str
    config: str
    split: str
    layout: Layout

    @property
    def reason_not_copied(self) -> str | None:
        """Why the part is not copied; None where it is."""
        if self.layout in LICENSED:
            return LICENSED[self.layout]
        named = Path(self.folder).expanduser()
        if named.is_absolute() or ".." in named.parts:
            return "its name is not a path below a data root, so that a copy would not be read"
        return None


def write_bundle(
    folder: Path,
    parts: Sequence[Part],
    own_parts: Sequence[OwnPart] = (),
    *,
    data_root: str | None,
    rows_folder: str | None = None,
    encoder: Mapping[str, Mapping[str, str]] | None = None,
    on_done: Callable[[int, int], None],
) -> None:
    """Copy parts from the hub (or from another data root) and from folders of your own into a new
    folder, and list what is not copied. `encoder` is the entry of an encoder that lies in the
    folder already. `on_done` gets the number of copied parts and their total. Raises Refusal."""
    copied = [part for part in own_parts if part.reason_not_copied is None]
    commits = _copy_hub(
        folder, parts, data_root, lambda done: on_done(done, len(parts) + len(copied))
    )
    for done, part in enumerate(copied, start=len(parts) + 1):
        root = data_root if is_below(part.folder, data_root) else rows_folder or data_root
        copy_own(part.folder, part.config or None, part.split, folder, data_root=root)
        on_done(done, len(parts) + len(copied))
    licences: dict[str, dict[str, Mapping[str, str]]] = defaultdict(dict)
    for dataset, config in sorted({(part.dataset, part.config) for part in parts}):
        licence = licence_of(dataset, config or None, data_root, commits[dataset]) or "unknown"
        licences[dataset][config or "default"] = {"licence": licence}
    for dataset in licences:
        common = licence_of(dataset, None, data_root, commits[dataset])
        _write_card(folder, dataset, [p for p in parts if p.dataset == dataset], common)
    sources = {
        part.dataset: {"revision": part.revision, "commit": commits[part.dataset]} for part in parts
    }
    sources.update({place: dict(entry) for place, entry in (encoder or {}).items()})
    for name, content in ((LICENCES, licences), (SOURCES, sources)):
        (folder / name).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
    what = "Rows and encoder" if encoder else "Rows"
    lines = [f"{what} that one study reads, copied by `data bundle`; read by `--data-root`.\n"]
    lines += [f"- not copied: {line}\n" for line in left_out(own_parts)]
    (folder / CARD).write_text("\n".join(lines), encoding="utf-8")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sums = [f"{_sha256(path)}  {path.relative_to(folder)}\n" for path in files]
    (folder / SUMS).write_text("".join(sums))


def left_out(own_parts: Sequence[OwnPart]) -> list[str]:
    """One line per folder that is not copied, with the reason."""
    reasons = {
        part.folder: part.reason_not_copied
        for part in own_parts
        if part.reason_not_copied is not None
    }
    return [
        f"{folder!r}: {why}; it must exist on the machine that runs the study"
        for folder, why in sorted(reasons.items())
    ]


def _copy_hub(
    folder: Path, parts: Sequence[Part], data_root: str | None, on_done: Callable[[int], None]
) -> dict[str, str]:
    """Copy the parts from the hub. Returns the commit that each data set was read from."""
    commits: dict[str, str] = {}
    for done, part in enumerate(parts, start=1):
        commits[part.dataset] = copy_split(
            part.dataset,
            part.config or None,
            part.split,
            folder / part.path,
            revision=part.revision or None,
            data_root=data_root,
        )
        on_done(done)
    return commits


def place_of_encoder(settings: StudySettings) -> str:
    """Where a bundle has the study's encoder: `encoders/` and its name; of a path its last part.
    An encoder that `[pretraining]` describes has the digest of that section in its name."""
    name = settings.study.encoder
    if settings.pretraining is not None:
        described = settings.pretraining.model_dump_json(exclude_defaults=True)
        name += f"-{hashlib.sha256(described.encode()).hexdigest()[:12]}"
    path = Path(name)
    if name.startswith(("/", ".", "~")) or len(path.parts) > 2 or ".." in path.parts:
        name = path.name if path.name not in ("", "..") else "encoder"
    return f"{ENCODERS}/{name}"


def bundled_encoder(settings: StudySettings) -> Path | None:
    """The folder of the study's encoder in the bundle at its data root; None where there is none.
    Raises Refusal where its files differ from SHA256SUMS, or where it is of another revision than
    the study pins."""
    root, wanted = settings.study.data_root, settings.study.revision
    place = place_of_encoder(settings)
    if root is None or not Path(root, place).is_dir():
        return None
    entry = _sources(Path(root)).get(place, {})
    known = [str(entry[key]) for key in ("revision", "commit") if entry.get(key)]
    if wanted is not None and known and wanted not in known:
        raise Refusal(
            f"the encoder in {Path(root, place)} is of revision {known[0]!r}, and the study pins "
            f"{wanted!r}; make the bundle again with `data bundle`"
        )
    wrong = check_sums(Path(root), [place])
    if wrong:
        raise Refusal(wrong[0])
    return Path(root, place)


def _sources(root: Path) -> Mapping[str, Mapping[str, Any]]:
    file = root / SOURCES
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig")) if file.exists() else {}
    except (OSError, ValueError, RecursionError) as error:
        raise Refusal(f"{file} cannot be read as JSON: {error}") from error
    return content if isinstance(content, dict) else {}


def check_sums(folder: Path, datasets: Sequence[str]) -> list[str]:
    """One line per file of these data sets that differs from the folder's SHA256SUMS; empty where
    there is no such file. Raises Refusal where SHA256SUMS cannot be read."""
    sums = folder / SUMS
    if not sums.exists():
        return []
    try:
        text = sums.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise Refusal(f"{sums} cannot be read: {error}; expected lines of `sha256sum`") from error
    wrong = []
    for name, digest in _listed_sums(text, sums).items():
        if not name.startswith(tuple(f"{dataset}/" for dataset in datasets)):
            continue
        path = folder / name
        if not path.exists():
            wrong.append(f"{name} is listed in {SUMS} but missing; copy the folder again")
        elif _sha256(path) != digest:
            wrong.append(f"{name} differs from its sum in {SUMS}; copy the folder again")
    return wrong


def _listed_sums(text: str, file: Path) -> dict[str, str]:
    """The digest of each path in the lines of a SHA256SUMS. Empty lines and comments are skipped.
    Raises Refusal for any other line."""
    listed = {}
    for number, line in enumerate(text.split("\n"), start=1):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        found = _GNU_LINE.fullmatch(bare) or _BSD_LINE.fullmatch(bare)
        if found is None:
            raise Refusal(
                f"{file}, line {number} is {shown(bare)}; expected lines of `sha256sum` "
                "(SUM  PATH) or of BSD's `sha256` (SHA256 (PATH) = SUM)"
            )
        name = found["name"]
        if found["escaped"]:  # `sha256sum` writes names with such characters like this
            name = re.sub(r"\\[nr\\]", lambda match: _ESCAPES[match[0]], name)
        listed[Path(name).as_posix()] = found["digest"].lower()
    return listed


def _write_card(folder: Path, dataset: str, parts: Sequence[Part], licence: str | None) -> None:
    """Write the README.md in which `datasets` looks up configs and splits."""
    from huggingface_hub import DatasetCardData

    files: dict[str, list[dict[str, str]]] = defaultdict(list)
    for part in parts:
        path = part.path.relative_to(dataset).as_posix()
        files[part.config or "default"].append({"split": part.split, "path": path})
    configs = [{"config_name": name, "data_files": listed} for name, listed in files.items()]
    card = DatasetCardData(license=licence, configs=configs)
    text = f"---\n{card.to_yaml()}\n---\n\nA part of `{dataset}`, copied by `data bundle`.\n"
    (folder / dataset / "README.md").write_text(text, encoding="utf-8")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
