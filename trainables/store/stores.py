"""Which phase store is meant: the home folder, or an object store behind it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from spaces.bucket import Bucket
from spaces.refusal import Refusal
from spaces.sections import ResourcesSection
from trainables.store.phase_store import PhaseStore

if TYPE_CHECKING:
    from trainables.store.remote_folders import RemoteFolders

VARIABLE = "TRANSFER_SEARCH_PHASE_STORE"


def address_of(resources: ResourcesSection | None) -> str | None:
    """The study file's, else TRANSFER_SEARCH_PHASE_STORE; None: the home folder alone."""
    named = resources.phase_store if resources else None
    return named or os.environ.get(VARIABLE) or None


def open_store(root: Path, *, owner: str, address: str | None) -> PhaseStore:
    """The phases under `root`, or of the object store at `address` with `root` as their cache.
    Raises Refusal for an address that is none, or where boto3 is missing; asks no server."""
    if address is None:
        return PhaseStore(root, owner=owner)
    remote = _remote(address)
    from trainables.store.remote_phases import RemotePhaseStore

    return RemotePhaseStore(root, owner=owner, remote=remote)


def check_store(address: str | None) -> None:
    """Refuse, within seconds, an object store that cannot be reached, listed, written and read."""
    if address is not None:
        _remote(address, max_attempts=2).objects.check()


def _remote(address: str, *, max_attempts: int = 8) -> "RemoteFolders":
    """`max_attempts` of a request, with growing pauses: eight are half a minute."""
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
