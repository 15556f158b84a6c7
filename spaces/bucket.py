"""Bucket: an address on an object store, `s3://BUCKET/PREFIX`."""

import re
from dataclasses import dataclass

from spaces.refusal import Refusal

SCHEME = "s3://"
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9_=.-]+(/[A-Za-z0-9_=.-]+)*")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket and a folder in it; `prefix` has no slash at its ends and may be empty."""

    name: str
    prefix: str = ""

    @classmethod
    def parse(cls, address: str, *, what: str) -> "Bucket":
        """Read `s3://BUCKET/PREFIX`; `what` is who asks, for the message. Raises Refusal."""
        expected = "expected s3://BUCKET or s3://BUCKET/PREFIX"
        if "@" in address or "?" in address:
            raise Refusal(
                f"{what} is an address with a name, a password or a question mark in it; {expected}"
                ": keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ~/.aws or a role"
            )
        if not address.startswith(SCHEME):
            raise Refusal(
                f"{what} is {address!r}; {expected}. A folder needs no address: phases lie in the "
                "home folder"
            )
        name, _, prefix = address.removeprefix(SCHEME).partition("/")
        prefix = prefix.rstrip("/")
        if not _NAME.fullmatch(name):
            raise Refusal(
                f"{what} names the bucket {name!r}; {expected}, and a bucket's name is 3 to 63 "
                "small letters, digits, dots and hyphens"
            )
        if prefix and (not _PREFIX.fullmatch(prefix) or ".." in prefix):
            raise Refusal(
                f"{what} has the prefix {prefix!r}; {expected}, where a prefix is words of "
                "letters, digits, `_`, `-`, `.` and `=` between single slashes"
            )
        return cls(name, prefix)

    def __str__(self) -> str:
        return f"{SCHEME}{self.name}/{self.prefix}".rstrip("/")
