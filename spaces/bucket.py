"""Bucket: the address of a folder on an object store, `s3://BUCKET/PREFIX`."""

import re
from dataclasses import dataclass

from spaces.refusal import Refusal

SCHEME = "s3://"
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9_=.-]+(/[A-Za-z0-9_=.-]+)*")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket and a folder in it. `prefix` may be empty; it has no slash at either end."""

    name: str
    prefix: str = ""

    @classmethod
    def parse(cls, address: str, *, setting: str) -> "Bucket":
        """Read `s3://BUCKET/PREFIX`. `setting` names what was set to this address, for the error
        message. Raises Refusal for any other form."""
        expected = "expected s3://BUCKET or s3://BUCKET/PREFIX"
        if "@" in address or "?" in address:
            raise Refusal(
                f"{setting} is an address with a user name, a password or a question mark in it; "
                f"{expected}. Give keys in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, in ~/.aws "
                "or by a role"
            )
        if not address.startswith(SCHEME):
            raise Refusal(
                f"{setting} is {address!r}; {expected}. To keep phases in the home folder, leave "
                "the address out"
            )
        name, _, prefix = address.removeprefix(SCHEME).partition("/")
        prefix = prefix.rstrip("/")
        if not _NAME.fullmatch(name):
            raise Refusal(
                f"{setting} names the bucket {name!r}; {expected}, and a bucket's name is 3 to 63 "
                "lower-case letters, digits, dots and hyphens"
            )
        if prefix and (not _PREFIX.fullmatch(prefix) or ".." in prefix):
            raise Refusal(
                f"{setting} has the prefix {prefix!r}; {expected}, where PREFIX is words of "
                "letters, digits, `_`, `-`, `.` and `=` with single slashes between them"
            )
        return cls(name, prefix)

    def __str__(self) -> str:
        return f"{SCHEME}{self.name}/{self.prefix}".rstrip("/")
