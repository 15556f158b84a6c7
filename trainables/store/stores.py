"""The phase store of a run: the home folder alone, or an object store with the home as its cache.

The driver resolves the address once (`phase_store_address`) and passes it on: to its own store and,
in a `Launch`, to every worker. A worker does not ask again, because the environment of another
machine may name another store.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from spaces.bucket import Bucket
from spaces.refusal import Refusal
from trainables.store.phase_store import PhaseStore

if TYPE_CHECKING:
    from trainables.store.remote_folders import RemoteFolders

VARIABLE = "TRANSFER_SEARCH_PHASE_STORE"


def phase_store_address(named: str | None) -> str | None:
    """The address of the object store, `s3://BUCKET/PREFIX`; None: the home folder alone.

    Args:
        named: the address that the study file (`resources.phase_store`) or an option gives; it
            overrides the environment variable TRANSFER_SEARCH_PHASE_STORE.
    """
    return named or os.environ.get(VARIABLE) or None


def open_store(root: Path, *, owner: str, address: str | None) -> PhaseStore:
    """The phase store under `root`, or that of the object store at `address` with `root` as its
    cache. No server is asked. Raises Refusal for an invalid address, or where boto3 is missing."""
    if address is None:
        return PhaseStore(root, owner=owner)
    remote = _remote(address)
    from trainables.store.remote_phases import RemotePhaseStore

    return RemotePhaseStore(root, owner=owner, remote=remote)


def check_store(address: str | None) -> None:
    """Raises Refusal, within seconds, for an object store that cannot be reached, listed, written
    and read."""
    if address is not None:
        _remote(address, max_attempts=2).objects.check()


def _remote(address: str, *, max_attempts: int = 8) -> "RemoteFolders":
    """The folders at this address. A request is made at most `max_attempts` times, with growing
    pauses; eight attempts take half a minute."""
    bucket = Bucket.parse(address, setting="the phase store")
    try:
        from trainables.store.object_store import ObjectStore
        from trainables.store.remote_folders import RemoteFolders
    except ModuleNotFoundError as error:
        if error.name not in ("boto3", "botocore"):
            raise
        raise Refusal(
            f"the phase store {bucket} needs boto3: pip install 'transfer-search[s3]'"
        ) from error
    return RemoteFolders(ObjectStore(bucket, max_attempts=max_attempts))
