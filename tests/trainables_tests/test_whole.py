"""What is written is there whole or not at all, and no draft of it stays."""

from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from spaces.refusal import Refusal
from trainables.whole import check_new, whole_file, whole_folder, write_whole


def fail(writing: AbstractContextManager[Path], error: BaseException) -> None:
    """In the middle of a draft."""
    with writing as draft:
        (draft / "first" if draft.is_dir() else draft).write_text("1")
        raise error


def test_a_file_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    for content in (b"old", b"new"):
        write_whole(tmp_path / "file.bin", content)
        assert (tmp_path / "file.bin").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["file.bin"]


def test_a_file_that_fails_half_way_is_as_it_was(tmp_path: Path) -> None:
    write_whole(tmp_path / "file.bin", b"old")
    with pytest.raises(KeyboardInterrupt):
        fail(whole_file(tmp_path / "file.bin"), KeyboardInterrupt())
    assert (tmp_path / "file.bin").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file.bin"]


@pytest.mark.parametrize("is_there", [False, True])
def test_a_folder_appears_with_all_its_files(tmp_path: Path, is_there: bool) -> None:
    folder = tmp_path / "below" / "out"
    if is_there:
        folder.mkdir(parents=True)
    with whole_folder(folder) as draft:
        (draft / "first").write_text("1")
        assert not (folder / "first").exists()
    assert [path.name for path in folder.iterdir()] == ["first"]
    assert [path.name for path in folder.parent.iterdir()] == ["out"]


def test_a_folder_that_fails_half_way_is_not_there(tmp_path: Path) -> None:
    for error, predicted in (
        (Refusal("a file is bad"), r"^a file is bad$"),
        (OSError(28, "No space left"), "out cannot be written: No space left"),
    ):
        with pytest.raises(Refusal, match=predicted):
            fail(whole_folder(tmp_path / "out"), error)
    assert not [*tmp_path.iterdir()]


def test_a_folder_in_use_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("mine")
    with (
        pytest.raises(Refusal, match="cannot be written: Directory not empty"),
        whole_folder(tmp_path),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_new_is_what_is_not_there_or_empty(tmp_path: Path) -> None:
    check_new(tmp_path / "new")
    check_new(tmp_path)
    (tmp_path / "file").write_text("kept")
    for folder in (tmp_path, tmp_path / "file"):
        with pytest.raises(Refusal, match="not an empty folder"):
            check_new(folder)


@pytest.mark.parametrize("address", ["http://server/x", "s3://bucket/x", "http://["])
def test_an_address_is_no_new_folder(address: str) -> None:
    with pytest.raises(Refusal, match="looks like an address; expected a new folder"):
        check_new(Path(address))
