"""A bundle reads as its source does; a damaged one is told apart."""

import hashlib
import json
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings
from spaces.study_file.study_text import read_text
from spaces.tasks.origin import Layout
from trainables.rows.bundle import (
    SOURCES,
    SUMS,
    OwnPart,
    Part,
    bundled_encoder,
    check_sums,
    left_out,
    place_of_encoder,
    write_bundle,
)
from trainables.rows.cards import licence_of
from trainables.rows.hub import raw_rows

XTREME = "google/xtreme"
PARTS = [
    Part(XTREME, "PAN-X.jv", "test", "a" * 40),
    Part(XTREME, "XQuAD.zh", "validation", "a" * 40),
    Part("tau/commonsense_qa", "", "validation", ""),
]


@pytest.fixture
def folder(mirror: Path, tmp_path: Path) -> Path:
    reported: list[tuple[int, int]] = []
    write_bundle(
        tmp_path / "out", PARTS, data_root=str(mirror), on_done=lambda *at: reported.append(at)
    )
    assert reported == [(1, 3), (2, 3), (3, 3)]
    return tmp_path / "out"


def test_it_reads_as_its_source(mirror: Path, folder: Path) -> None:
    for part in PARTS:
        cell = (part.dataset, part.config or None, part.split)
        copied, source = (
            raw_rows(*cell, revision=None, data_root=str(root)) for root in (folder, mirror)
        )
        assert copied.rows == source.rows
        assert (folder / part.path).is_file()
    assert licence_of(XTREME, "XQuAD.zh", str(folder)) == "CC BY-SA 4.0"
    assert licence_of("tau/commonsense_qa", None, str(folder)) == "MIT (HF card)"
    sources = json.loads((folder / SOURCES).read_text())
    assert sources[XTREME] == {"revision": "a" * 40, "commit": ""}


def test_its_sums_are_those_of_sha256sum(folder: Path) -> None:
    done = subprocess.run(
        ["sha256sum", "-c", "--strict", SUMS], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    listed = (folder / SUMS).read_text().splitlines()
    assert len(listed) == sum(path.is_file() for path in folder.rglob("*")) - 1


def study(encoder: str, root: Path | None, **keys: str) -> StudySettings:
    content = tomllib.loads(read_text("pocket"))
    content["study"] |= {"encoder": encoder, **keys}
    return StudySettings.parse(content).with_data_root(root)


@pytest.mark.parametrize(
    ("encoder", "place"),
    [
        ("FacebookAI/xlm-roberta-base", "encoders/FacebookAI/xlm-roberta-base"),
        ("xlm-roberta-base", "encoders/xlm-roberta-base"),
        ("pocket", "encoders/pocket"),
        ("/models/mine", "encoders/mine"),
        ("./mine", "encoders/mine"),
        ("a/b/mine", "encoders/mine"),
        ("../..", "encoders/encoder"),
        ("/", "encoders/encoder"),
    ],
)
def test_an_encoder_has_its_place_by_its_name(encoder: str, place: str) -> None:
    assert place_of_encoder(study(encoder, None)) == place


def test_an_encoder_is_found_in_the_bundle(tmp_path: Path) -> None:
    settings = study("our/tiny", tmp_path, revision="main")
    assert bundled_encoder(study("our/tiny", None)) is None
    assert bundled_encoder(settings) is None
    folder, commit = tmp_path / "encoders" / "our" / "tiny", "c" * 40
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    assert bundled_encoder(settings) == folder  # a folder that somebody has put there
    entry = {"revision": "main", "commit": commit, "digest": "d"}
    write_bundle(
        tmp_path,
        [],
        data_root=None,
        encoder={"encoders/our/tiny": entry},
        on_done=lambda *at: None,
    )
    assert json.loads((tmp_path / SOURCES).read_text()) == {"encoders/our/tiny": entry}
    assert "Rows and encoder" in (tmp_path / "README.md").read_text()
    for revision in ("main", commit):
        assert bundled_encoder(study("our/tiny", tmp_path, revision=revision)) == folder
    assert bundled_encoder(study("our/tiny", tmp_path)) == folder
    assert bundled_encoder(study("our/other", tmp_path)) is None
    with pytest.raises(Refusal, match=r"is of revision 'main', and the study pins 'v2'; make the"):
        bundled_encoder(study("our/tiny", tmp_path, revision="v2"))
    (folder / "config.json").write_text("{ }")
    with pytest.raises(Refusal, match=r"our/tiny/config.json differs from its sum in SHA256SUMS"):
        bundled_encoder(settings)


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("change", "message"),
    [(damage, "differs from its sum in SHA256SUMS"), (Path.unlink, "but missing")],
)
def test_damage_is_told(folder: Path, change: Callable[[Path], None], message: str) -> None:
    assert check_sums(folder, [XTREME]) == []
    change(folder / PARTS[1].path)
    (wrong,) = check_sums(folder, [XTREME])
    assert message in wrong
    assert "XQuAD.zh/validation" in wrong
    assert check_sums(folder, ["tau/commonsense_qa"]) == []


BSD = "SHA256 ({name}) = {digest}\n"


@pytest.mark.parametrize(
    "line",
    [
        "{digest}  {name}\n",
        "{digest} *{name}\n",
        "{digest}  ./{name}\r\n",
        "\n{digest}  {name}\n\n  \n",
        "# made by hand\n{digest}  {name}\n",
        "{digest}\t{name}\n",
        BSD,
        "\n" + BSD,
        "SHA256(./{name})= {digest}\n",
        "SHA2-256({name})= {digest}\n",
    ],
)
@pytest.mark.parametrize("is_upper", [False, True])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_lines_of_other_programs(tmp_path: Path, line: str, is_upper: bool, mark: str) -> None:
    name = f"{XTREME}/a (1) = b.parquet"
    (tmp_path / XTREME).mkdir(parents=True)
    (tmp_path / name).write_bytes(b"rows")
    for content, wrong in ((b"rows", 0), (b"other", 1)):
        digest = hashlib.sha256(content).hexdigest()
        digest = digest.upper() if is_upper else digest
        text = mark + line.format(name=name, digest=digest)
        (tmp_path / SUMS).write_text(text, encoding="utf-8", newline="")
        assert len(check_sums(tmp_path, [XTREME])) == wrong


def test_what_sha256sum_writes_for_odd_names(tmp_path: Path) -> None:
    folder = tmp_path / XTREME
    folder.mkdir(parents=True)
    for name in ("back\\slash", "new\nline", " blank", "*star", "ü"):
        (folder / name).write_bytes(name.encode())
    for options in ([], ["--tag"], ["--binary"]):
        done = subprocess.run(
            [
                "sha256sum",
                *options,
                *(str(path.relative_to(tmp_path)) for path in folder.iterdir()),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        (tmp_path / SUMS).write_text(done.stdout)
        assert check_sums(tmp_path, [XTREME]) == []


@pytest.mark.parametrize(
    "line", ["abc  name", f"MD5 (name) = {'a' * 32}", "a" * 64, f"{'a' * 64}name", "x" * 10**6]
)
def test_other_lines_are_refused_by_number(tmp_path: Path, line: str) -> None:
    (tmp_path / SUMS).write_text(f"\n{line}\n")
    with pytest.raises(Refusal, match=f"{SUMS}, line 2 is .*; expected lines of") as refused:
        check_sums(tmp_path, [XTREME])
    assert len(str(refused.value)) < 400


def test_a_folder_without_sums_has_nothing_to_check(tmp_path: Path) -> None:
    assert check_sums(tmp_path, [XTREME]) == []
    (tmp_path / SUMS).write_text("only-one-column\n")
    with pytest.raises(Refusal, match="expected lines of `sha256sum`"):
        check_sums(tmp_path, [XTREME])


@pytest.mark.parametrize(
    ("folder", "layout", "why"),
    [
        ("mine/rows", Layout.ROWS, None),
        ("/data/rows", Layout.ROWS, "its name is not a path below a data root"),
        ("~/rows", Layout.ROWS, "its name is not a path below a data root"),
        ("../rows", Layout.ROWS, "its name is not a path below a data root"),
        ("ccgbank", Layout.CCGBANK, "LDC"),
        ("bucc2018", Layout.BUCC, "shared task"),
    ],
)
def test_which_folders_are_copied(folder: str, layout: Layout, why: str | None) -> None:
    part = OwnPart(folder, "de", "train", layout)
    assert (part.reason_not_copied is None) if why is None else (why in str(part.reason_not_copied))
    lines = left_out([part, part])
    assert len(lines) == (0 if why is None else 1)
    assert all(line.startswith(f"'{folder}': ") for line in lines)
