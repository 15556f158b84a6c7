"""Optuna's database: opened, or refused in one line."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from search.sampling.storage import check_database, may_exist, open_storage, reaching
from spaces.refusal import Refusal


def test_it_is_made_where_it_is_not_there(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new' / 'optuna.db'}"
    assert not may_exist(url)
    assert open_storage(url).get_all_studies() == []
    assert may_exist(url)


def test_of_a_server_only_opening_it_tells() -> None:
    assert may_exist("postgresql://me:hunter2@127.0.0.1:1/db")
    with pytest.raises(Refusal, match="cannot be used") as refused:
        open_storage("postgresql://me:hunter2@127.0.0.1:1/db")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://127.0.0.1:1/db?user=me&password=hunter2",
        "postgresql://127.0.0.1:1/db?user=me&sslpassword=hunter2",
        "postgresql://me:hunter2@127.0.0.1:1/db?hunter2=1",
        "postgresql://me:hunter2@127.0.0.1:1/db?connect_timeout=hunter2",
        "postgresql://me:hunter2@hunter2.invalid/db",
        "postgresql://me:a@hunter2@127.0.0.1:1/db?password=hunter2",
        "mysql+nodriver://me:hunter2@127.0.0.1:1/db",
        "postgresql://me:hunter2@127.0.0.1:hunter2/db",
    ],
)
@pytest.mark.parametrize("use", [open_storage, check_database])
def test_no_message_repeats_a_password(url: str, use: Callable[[str], object]) -> None:
    with pytest.raises(Refusal) as refused:
        use(url)
    assert "hunter2" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_check_creates_nothing(tmp_path: Path) -> None:
    check_database(f"sqlite:///{tmp_path / 'new' / 'optuna.db'}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("read", [may_exist, open_storage, check_database])
def test_what_is_no_address(read) -> None:
    with pytest.raises(Refusal, match="not the address of a database; expected sqlite:///PATH"):
        read("no address")


def test_what_it_raises_is_one_line_and_a_refusal_stays_what_it_is() -> None:
    with pytest.raises(Refusal) as refused, reaching("sqlite:///x"):
        raise OperationalError("select\n1", None, OSError("disk is full\nand more"))
    assert "disk is full" in str(refused.value)
    assert "\n" not in str(refused.value)
    with pytest.raises(Refusal, match="as it was"), reaching():
        raise Refusal("as it was")
