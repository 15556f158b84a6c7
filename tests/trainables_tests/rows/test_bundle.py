"""A bundle reads as its source does; a damaged one is told apart."""

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from spaces.refusal import Refusal
from spaces.tasks.origin import Layout
from trainables.rows.bundle import SOURCES, SUMS, OwnPart, Part, check_sums, left_out, write_bundle
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
