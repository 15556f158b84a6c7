"""Where a data set lies, and what it says of its licence."""

import shutil
from pathlib import Path

import pytest

from spaces.refusal import Refusal
from trainables.rows.cards import find_folder, licence_of

XTREME = "google/xtreme"


def test_a_data_root_without_the_data_set_names_the_nearest(mirror: Path, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"unknown data set in data root .*Did you mean 'google/xtr"):
        find_folder("google/xtrem", str(mirror))
    with pytest.raises(Refusal, match="is not a folder"):
        find_folder(XTREME, str(tmp_path / "nowhere"))


def test_licences(mirror: Path, tmp_path: Path) -> None:
    assert licence_of(XTREME, "XQuAD.de", str(mirror)) == "CC BY-SA 4.0"
    assert licence_of("Rowan/hellaswag", None, str(mirror)) == "MIT"
    shutil.copytree(mirror / "Rowan", tmp_path / "Rowan")
    assert licence_of("Rowan/hellaswag", None, str(tmp_path)) == "other"


HELLASWAG = "Rowan/hellaswag"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "Invalid JSON"),
        (b"", "Invalid JSON"),
        (b"[" * 100_000, "Invalid JSON"),
        (b"\xff", "cannot be read: 'utf-8' codec"),
        (b"[]", "Input should be an object"),
        (b"null", "Input should be an object"),
        (b'{"Rowan/hellaswag": "MIT"}', "should be an object at 'Rowan/hellaswag'"),
        (b'{"Rowan/hellaswag": ["MIT"]}', "should be an object at 'Rowan/hellaswag'"),
        (b'{"a/b": {"c": "MIT"}}', "at 'a/b' -> 'c'"),
        (b'{"a/b": {"c": {}}}', "Field required at 'a/b' -> 'c' -> 'licence'"),
        (b'{"a/b": {"c": {"licence": 4}}}', "should be a valid string at 'a/b' -> 'c' -> 'lic"),
        (b'{"%s": 1}' % (b"x" * 10**6), "at 'xxx"),
        (b'{"a\\nb": 1}', "at 'a.n"),
    ],
)
def test_a_list_of_licences_that_is_none_is_refused(
    content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / "licences.json").write_bytes(content)
    with pytest.raises(Refusal, match=message) as caught:
        licence_of(HELLASWAG, None, str(tmp_path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_list_of_licences_may_say_more(mirror: Path, tmp_path: Path) -> None:
    shutil.copytree(mirror / "Rowan", tmp_path / "Rowan")
    file = tmp_path / "licences.json"
    file.write_text('\ufeff{"Rowan/hellaswag": {"default": {"licence": "MIT", "since": 2019}}}')
    assert licence_of(HELLASWAG, None, str(tmp_path)) == "MIT"
    file.write_text("{}")
    assert licence_of(HELLASWAG, None, str(tmp_path)) == "other"


def test_a_single_config_is_known_without_its_name(mirror: Path) -> None:
    assert licence_of("rajpurkar/squad", None, str(mirror)) == "CC BY-SA 4.0"
