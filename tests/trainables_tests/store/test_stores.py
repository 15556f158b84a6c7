import sys
from pathlib import Path

import pytest

from spaces.refusal import Refusal
from trainables.store.phase_store import PhaseStore
from trainables.store.remote_phases import RemotePhaseStore
from trainables.store.stores import VARIABLE, open_store, phase_store_address


def test_the_study_file_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert phase_store_address(None) is None
    monkeypatch.setenv(VARIABLE, "s3://around")
    assert phase_store_address(None) == phase_store_address("") == "s3://around"
    assert phase_store_address("s3://named") == "s3://named"
    monkeypatch.setenv(VARIABLE, "")
    assert phase_store_address(None) is None


def test_a_folder_or_an_object_store(bucket: str, tmp_path: Path) -> None:
    assert type(open_store(tmp_path, owner="x", address=None)) is PhaseStore
    assert type(open_store(tmp_path, owner="x", address=bucket)) is RemotePhaseStore
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(Refusal, match="the phase store is '/shared'; expected s3://"):
        open_store(tmp_path, owner="x", address="/shared")


def test_without_boto3_it_is_said_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    monkeypatch.delitem(sys.modules, "trainables.store.object_store")
    with pytest.raises(Refusal, match=r"needs boto3: pip install 'transfer-search\[s3\]'"):
        open_store(tmp_path, owner="x", address="s3://phases")
