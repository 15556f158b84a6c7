"""Secrets: hides passwords and tokens in addresses, and in all text that is shown or stored."""

import json
import os
import re
from urllib.parse import quote, quote_plus, unquote, unquote_plus

HIDDEN = "***"
MIN_LENGTH = 6  # characters: a shorter secret is not searched for, since it occurs in common words
# Environment variables whose values are secrets.
VARIABLES = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "HF_TOKEN",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "PGPASSWORD",
    "RAY_AUTH_TOKEN",
)

_DATABASES = ("postgres", "mysql", "mariadb", "sqlite", "oracle", "mssql", "cockroachdb")
_WORD = (
    r"(?:pass(?:word|wd|phrase|code)?|pwd|secret|(?<![a-z0-9]_)token|auth_token|access_token|"
    r"id_token|refresh_token|session_token|security_token|api[_-]?token|api[_-]?key|"
    r"access[_-]?key(?:[_-]?id)?|secret[_-]?key|private[_-]?key|account[_-]?key|signature|"
    r"credentials?|authorization|jwt)\d*"
)
_SECRET_NAME = re.compile(rf"(?:{_WORD}|(?:^|[?#])(?:key|sig|auth|code|dsn|odbc_connect))$", re.I)
_PAIR = re.compile(
    rf"(?<![A-Za-z0-9])([A-Za-z0-9_.-]*?{_WORD}\s*=\s*)"
    r"(\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[^\s&,;)\"']+)",
    re.I,
)
_HEADER = re.compile(r"(authorization['\"]?\s*[:=]\s*['\"]?(?:bearer|basic|token)?\s*)\S+", re.I)
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")
_EXAMPLE = "USER:PASSWORD"  # what our own messages say of the form of an address

_known: set[str] = set()  # secrets of the addresses that this process was given


def hide_address(address: str) -> str:
    """The address with `***` for each secret in it.

    Hidden are: the password before the host, in a database's address; the name too, in any other
    address, since a token may stand for either; and the values of `password`, `sslpassword`,
    `token` and the like after the question mark.
    """
    scheme, mark, rest = _split(address)
    rest = _hide_query(rest)
    user, at, host = rest.rpartition("@")
    if not at or not user or user == _EXAMPLE or _is_file(scheme, rest):
        return f"{scheme}{mark}{rest}"
    name, colon, password = user.partition(":")
    if not scheme.lower().startswith(_DATABASES):
        shown = HIDDEN
    elif colon and password:
        shown = f"{name}:{HIDDEN}"
    else:
        shown = user
    return f"{scheme}{mark}{shown}@{host}"


def has_secret(address: str) -> bool:
    """Whether the address contains a password or a token."""
    return hide_address(address) != address


def hide_in_text(text: str) -> str:
    """The text with `***` for each secret in its addresses, and for the value of each
    `password=...`."""
    text = _ADDRESS.sub(lambda found: hide_address(found[0]), text)
    text = _PAIR.sub(lambda found: f"{found[1]}{HIDDEN}", text)
    return _HEADER.sub(lambda found: f"{found[1]}{HIDDEN}", text)


def hide_secrets(text: str) -> str:
    """The text as `hide_in_text` returns it, and without the secrets of every address that this
    process was given (`remember`), nor those of the environment, in whatever form they stand."""
    given = (os.environ.get(name, "").strip() for name in VARIABLES)
    secrets = _known | {form for value in given for form in _forms(value)}
    for secret in sorted(secrets, key=lambda secret: (-len(secret), secret)):
        text = text.replace(secret, HIDDEN)
    return hide_in_text(text)


def remember(address: str) -> None:
    """Hide the secrets of this address in every text from now on. The messages of other libraries
    may repeat a password without the address around it."""
    for value in _values(address):
        _known.update(_forms(value))


def _split(address: str) -> tuple[str, str, str]:
    if "://" not in address:
        return "", "", address
    scheme, mark, rest = address.partition("://")
    slashes = rest[: len(rest) - len(rest.lstrip("/"))]
    return scheme, mark + slashes, rest.removeprefix(slashes)


def _is_file(scheme: str, rest: str) -> bool:
    """Whether a SQLite address names a path, in which an `@` has no meaning. An encrypted file has
    a password: `sqlite+pysqlcipher://:PASSWORD@/PATH`."""
    return scheme.lower().startswith("sqlite") and not rest.startswith(":")


def _hide_query(rest: str) -> str:
    """The part of an address after `://`, with the values of its secret parameters hidden."""
    found = re.search("[?#]", rest)
    if found is None:
        return rest
    parts, was_secret, is_cut = list[str](), False, False
    for part in rest[found.end() :].split("&"):
        name, equals, value = part.partition("=")
        if is_cut or not equals:  # an `&` in a password, which should be written %26
            parts.append(HIDDEN if (is_cut or was_secret) and part else part)
            continue
        was_secret = _is_secret(name, value)
        is_cut = was_secret and not value
        parts.append(f"{name}={HIDDEN}" if was_secret and value else part)
    return rest[: found.end()] + "&".join(parts)


def _is_secret(name: str, value: str) -> bool:
    """Whether a parameter is secret: by its name, or because its value holds others in turn."""
    return bool(
        _SECRET_NAME.search(unquote_plus(name).strip()) or _PAIR.search(unquote_plus(value))
    )


def _values(address: str) -> set[str]:
    """The secrets of an address as they stand in it. A password that equals the user's name is no
    secret, and its name would be hidden everywhere."""
    scheme, _, rest = _split(address)
    values, was_secret = set[str](), False
    for part in re.split("[?#&]", rest)[1:]:
        name, equals, value = part.partition("=")
        was_secret = _is_secret(name, value) if equals else was_secret
        if was_secret:
            values.add(value if equals else part)
    for query in (rest.partition("?")[2], rest.partition("#")[2]):
        # A password with a raw `&`, `?` or `#` in it.
        values |= {found[2] for found in re.finditer(r"(^|&)[^=&]*?" + _WORD + r"=(.*)", query)}
    user, at, _ = rest.rpartition("@")
    if at and not _is_file(scheme, rest):
        name, _, password = user.partition(":")
        is_database = scheme.lower().startswith(_DATABASES)
        values |= {password} if password and password != name else set()
        if not is_database and (not password or password == "x-oauth-basic"):
            values.add(name)
    return values


def _forms(value: str) -> set[str]:
    """A secret as it may stand in a text: as given, decoded, encoded, and quoted as Python and JSON
    quote it."""
    decoded = {value, unquote(value), unquote_plus(value)}
    encoded = {coded for text in decoded for coded in (_quoted(text), quote_plus(_text(text)))}
    lower = {re.sub("%..", lambda found: found[0].lower(), text) for text in encoded}
    forms = decoded | encoded | lower
    forms |= {repr(text)[1:-1] for text in decoded} | {json.dumps(text)[1:-1] for text in decoded}
    return {form for form in forms if len(form) >= MIN_LENGTH and form.strip("*")}


def _quoted(text: str) -> str:
    return quote(_text(text), safe="")


def _text(text: str) -> str:
    return text.encode(errors="replace").decode()
