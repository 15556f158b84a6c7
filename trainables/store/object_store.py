"""Bytes under names on an S3 object store. This is the only module that knows boto3.

Keys and region are looked up as AWS's tools do it (environment, ~/.aws, a role);
AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL is the address of another server.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from spaces.bucket import Bucket
from spaces.refusal import AwayError, Refusal, first_line, unknown

MAX_CONFLICTS, CONFLICT_SECONDS = 20, 0.5
DENIED_CODES = {
    "AccessDenied",
    "AllAccessDisabled",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "403",
}


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object: its name below the prefix, its size in bytes, and the time it was written (seconds
    since the epoch, by the store's clock)."""

    name: str
    num_bytes: int
    changed: float


class ObjectStore:
    """The objects below one prefix of one bucket. Every method raises AwayError, in one line, where
    the store cannot be reached in `max_attempts` requests."""

    def __init__(self, bucket: Bucket, *, max_attempts: int) -> None:
        self.bucket = bucket
        self._folder = f"{bucket.prefix}/" if bucket.prefix else ""
        config = Config(
            connect_timeout=10,
            read_timeout=60,
            retries={"mode": "standard", "total_max_attempts": max_attempts},
            # Some servers other than AWS's fail on its newer checksums; our manifests have hashes.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        try:
            self._client: Any = boto3.session.Session().client("s3", config=config)
        except (BotoCoreError, ValueError) as error:
            raise Refusal(f"the phase store {bucket}: {first_line(error)}") from error

    def __str__(self) -> str:
        return str(self.bucket)

    def uri(self, name: str) -> str:
        """The full address of an object."""
        return f"{self.bucket}/{name}"

    def check(self) -> None:
        """Raises Refusal for a store that cannot be listed, written or read, or in which a second
        writer can replace what the first one wrote."""
        mark = b"phases of transfer-search\n"
        self.listed("store")
        self.read("store")
        if self.put_new("store", mark) and self.put_new("store", mark):
            raise Refusal(
                f"the phase store {self} has no conditional writes (If-None-Match), so that two "
                "trainers would overwrite each other; use another server, or leave "
                "resources.phase_store out"
            )

    def read(self, name: str) -> bytes | None:
        """The content of a small object; None where it does not exist."""
        with self._requesting():
            try:
                answer = self._client.get_object(**self._bucket_and_key(name))
            except self._client.exceptions.NoSuchKey:
                return None
            content: bytes = answer["Body"].read()
            return content

    def put_new(self, name: str, content: bytes) -> bool:
        """Write a small object unless it exists. Returns False where it exists."""
        for _ in range(MAX_CONFLICTS):
            with self._requesting():
                try:
                    self._client.put_object(
                        **self._bucket_and_key(name), Body=content, IfNoneMatch="*"
                    )
                    return True
                except ClientError as error:
                    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                    if status == 412:
                        return False
                    if status != 409:  # 409: another writer is writing it at this moment
                        raise
            time.sleep(CONFLICT_SECONDS)
        raise AwayError(
            f"the phase store {self}: other writers keep writing {name}; run the study again"
        )

    def upload(self, path: Path, name: str) -> None:
        """Upload a file of any size; large files in parts."""
        with self._requesting():
            self._client.upload_file(str(path), self.bucket.name, self._folder + name)

    def download(self, name: str, path: Path) -> None:
        """Download an object. Raises FileNotFoundError where it does not exist."""
        with self._requesting():
            try:
                self._client.download_file(self.bucket.name, self._folder + name, str(path))
            except ClientError as error:
                if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
                    raise FileNotFoundError(f"{self.uri(name)}: no such object") from error
                raise

    def listed(self, prefix: str) -> list[StoredObject]:
        """All objects whose names start with `prefix`."""
        with self._requesting():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket.name, Prefix=self._folder + prefix
            )
            entries = [entry for page in pages for entry in page.get("Contents", [])]
        return [
            StoredObject(
                entry["Key"].removeprefix(self._folder),
                entry["Size"],
                entry["LastModified"].timestamp(),
            )
            for entry in entries
        ]

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects in the given order; missing ones are ignored."""
        for name in names:
            with self._requesting():
                self._client.delete_object(**self._bucket_and_key(name))

    def _bucket_and_key(self, name: str) -> dict[str, str]:
        return {"Bucket": self.bucket.name, "Key": self._folder + name}

    @contextmanager
    def _requesting(self) -> Iterator[None]:
        """Turns boto3's exceptions into one line that says what to do."""
        try:
            yield
        except NoCredentialsError as error:
            raise AwayError(
                f"the phase store {self} needs keys, but none are set: set AWS_ACCESS_KEY_ID "
                "and AWS_SECRET_ACCESS_KEY, write ~/.aws/credentials, or give the machine a role"
            ) from error
        except ClientError as error:
            raise self._refusal_of(error) from error
        except (BotoCoreError, Boto3Error) as error:
            raise AwayError(
                f"the phase store {self} does not answer ({first_line(error)}); for a server other "
                "than AWS's, set AWS_ENDPOINT_URL_S3"
            ) from error

    def _refusal_of(self, error: ClientError) -> Refusal:
        code = error.response["Error"]["Code"]
        if code == "NoSuchBucket":
            missing = unknown("bucket of the phase store", self.bucket.name, self._buckets())
            return AwayError(f"{missing}. Create it, or name an existing one")
        if code in DENIED_CODES:
            return AwayError(
                f"the phase store {self} denies access ({code}): the keys need s3:ListBucket "
                "on the bucket, and s3:GetObject, s3:PutObject, s3:DeleteObject below the prefix"
            )
        return AwayError(f"the phase store {self}: {first_line(error)}")

    def _buckets(self) -> list[str]:
        """The buckets that these keys may list; empty where they may not."""
        with suppress(ClientError, BotoCoreError):
            return [bucket["Name"] for bucket in self._client.list_buckets()["Buckets"]]
        return []
