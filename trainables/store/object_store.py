"""Bytes on an S3 object store, under names; the one module that knows boto3.

Keys and region are found as AWS's own tools find them (environment, ~/.aws, a role), the address of
another server in AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL.
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
NOT_LET_IN = {
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
    """An object's name below the prefix, its bytes, and when it was written (seconds since the
    epoch, by the store's clock)."""

    name: str
    num_bytes: int
    changed: float


class ObjectStore:
    """What lies below one prefix of one bucket. Every method raises AwayError, in one line, where
    the store cannot be reached after `max_attempts` of a request."""

    def __init__(self, bucket: Bucket, *, max_attempts: int) -> None:
        self.bucket = bucket
        self._folder = f"{bucket.prefix}/" if bucket.prefix else ""
        config = Config(
            connect_timeout=10,
            read_timeout=60,
            retries={"mode": "standard", "total_max_attempts": max_attempts},
            # Servers other than AWS's stumble over its newer checksums; ours are in the manifests.
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
        return f"{self.bucket}/{name}"

    def check(self) -> None:
        """Refuse a store that cannot be listed, written or read, or that lets a second writer
        replace what the first one wrote."""
        mark = b"phases of transfer-search\n"
        self.listed("store")
        self.read("store")
        if self.put_new("store", mark) and self.put_new("store", mark):
            raise Refusal(
                f"the phase store {self} does not know conditional writes (If-None-Match), without "
                "which two trainers would overwrite each other; take another server, or leave "
                "resources.phase_store out"
            )

    def read(self, name: str) -> bytes | None:
        """A small object; None where there is none."""
        with self._asking():
            try:
                answer = self._client.get_object(**self._place(name))
            except self._client.exceptions.NoSuchKey:
                return None
            content: bytes = answer["Body"].read()
            return content

    def put_new(self, name: str, content: bytes) -> bool:
        """Write a small object unless there is one; False where there was."""
        for _ in range(MAX_CONFLICTS):
            with self._asking():
                try:
                    self._client.put_object(**self._place(name), Body=content, IfNoneMatch="*")
                    return True
                except ClientError as error:
                    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                    if status == 412:
                        return False
                    if status != 409:  # 409: another one is writing it at this moment
                        raise
            time.sleep(CONFLICT_SECONDS)
        raise AwayError(f"the phase store {self}: {name} is being written by others all the time")

    def upload(self, path: Path, name: str) -> None:
        """A file of any size, in parts where it is large."""
        with self._asking():
            self._client.upload_file(str(path), self.bucket.name, self._folder + name)

    def download(self, name: str, path: Path) -> None:
        """Raises FileNotFoundError where there is no such object."""
        with self._asking():
            try:
                self._client.download_file(self.bucket.name, self._folder + name, str(path))
            except ClientError as error:
                if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
                    raise FileNotFoundError(f"{self.uri(name)}: no such object") from error
                raise

    def listed(self, prefix: str) -> list[StoredObject]:
        """All objects whose names begin so."""
        with self._asking():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket.name, Prefix=self._folder + prefix
            )
            found = [entry for page in pages for entry in page.get("Contents", [])]
        return [
            StoredObject(
                entry["Key"].removeprefix(self._folder),
                entry["Size"],
                entry["LastModified"].timestamp(),
            )
            for entry in found
        ]

    def delete(self, names: Iterable[str]) -> None:
        """In the order given; what is not there is no error."""
        for name in names:
            with self._asking():
                self._client.delete_object(**self._place(name))

    def _place(self, name: str) -> dict[str, str]:
        return {"Bucket": self.bucket.name, "Key": self._folder + name}

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Turn what boto3 raises into one line that says what to mend."""
        try:
            yield
        except NoCredentialsError as error:
            raise AwayError(
                f"the phase store {self} asks for keys and there are none: set AWS_ACCESS_KEY_ID "
                "and AWS_SECRET_ACCESS_KEY, write ~/.aws/credentials, or give the machine a role"
            ) from error
        except ClientError as error:
            raise self._answered(error) from error
        except (BotoCoreError, Boto3Error) as error:
            raise AwayError(
                f"the phase store {self} does not answer ({first_line(error)}); "
                "AWS_ENDPOINT_URL_S3 names another server than AWS's"
            ) from error

    def _answered(self, error: ClientError) -> Refusal:
        code = error.response["Error"]["Code"]
        if code == "NoSuchBucket":
            missing = unknown("bucket of the phase store", self.bucket.name, self._buckets())
            return AwayError(f"{missing}. Make it, or name one that is there")
        if code in NOT_LET_IN:
            return AwayError(
                f"the phase store {self} does not let us in ({code}): the keys need s3:ListBucket "
                "on the bucket, and s3:GetObject, s3:PutObject, s3:DeleteObject below the prefix"
            )
        return AwayError(f"the phase store {self}: {first_line(error)}")

    def _buckets(self) -> list[str]:
        """The buckets that these keys may see; none where they may not list them."""
        with suppress(ClientError, BotoCoreError):
            return [one["Name"] for one in self._client.list_buckets()["Buckets"]]
        return []
