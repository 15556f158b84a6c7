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
    (tmp_path / "licences.json").write_text("{")
    with pytest.raises(Refusal, match="cannot be read as JSON"):
        licence_of("Rowan/hellaswag", None, str(tmp_path))


def test_a_single_config_is_known_without_its_name(mirror: Path) -> None:
    assert licence_of("rajpurkar/squad", None, str(mirror)) == "CC BY-SA 4.0"
