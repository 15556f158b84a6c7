"""No password and no token stands in what is shown or stored, in whatever form it was given."""

import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from spaces import redaction
from spaces.redaction import has_secret, hide_address, hide_in_text, hide_secrets, remember
from spaces.refusal import AwayError, Refusal, first_line

DATABASE, SERVER = "postgresql://", "https://"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in redaction.VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (f"{DATABASE}me:secret@host:5432/db", f"{DATABASE}me:***@host:5432/db"),
        (f"{DATABASE}me:se@cr/et@host/db", f"{DATABASE}me:***@host/db"),
        (f"{DATABASE}:secret@host/db", f"{DATABASE}:***@host/db"),
        (f"{DATABASE}me@host/db", f"{DATABASE}me@host/db"),
        (f"{DATABASE}me:@host/db", f"{DATABASE}me:@host/db"),
        (
            f"{DATABASE}h/db?user=me&password=x&a=b",
            f"{DATABASE}h/db?user=me&password=***&a=b",
        ),
        (f"{DATABASE}host/db?PASSWORD=x", f"{DATABASE}host/db?PASSWORD=***"),
        (f"{DATABASE}host/db?p%61ssword=x", f"{DATABASE}host/db?p%61ssword=***"),
        (f"{DATABASE}host/db?password=a@b", f"{DATABASE}host/db?password=***"),
        (f"{DATABASE}host/db?password=a&b", f"{DATABASE}host/db?password=***&***"),
        (f"{DATABASE}host/db?sslpassword=x", f"{DATABASE}host/db?sslpassword=***"),
        (f"{DATABASE}me:a@host/db?sslpassword=x", f"{DATABASE}me:***@host/db?sslpassword=***"),
        (f"{DATABASE}host/db?user=a;password=x", f"{DATABASE}host/db?user=***"),
        (f"{DATABASE}?dsn=host%3Dh%20password%3Dx", f"{DATABASE}?dsn=***"),
        ("mssql+pyodbc:///?odbc_connect=A%3Db%3BPWD%3Dx", "mssql+pyodbc:///?odbc_connect=***"),
        ("mysql+pymysql://me:x@host/db?ssl_key=/k", "mysql+pymysql://me:***@host/db?ssl_key=/k"),
        ("sqlite+pysqlcipher://:x@/a.db", "sqlite+pysqlcipher://:***@/a.db"),
        (f"{SERVER}token@host", f"{SERVER}***@host"),
        (f"{SERVER}me:secret@host/p", f"{SERVER}***@host/p"),
        (f"{SERVER}token:x-oauth-basic@host", f"{SERVER}***@host"),
        (f"{SERVER}host/p?token=x", f"{SERVER}host/p?token=***"),
        (f"{SERVER}host/p?api_key=x&key=y&sig=z", f"{SERVER}host/p?api_key=***&key=***&sig=***"),
        (f"{SERVER}host/#/p?access_token=x", f"{SERVER}host/#/p?access_token=***"),
        ("me:secret@host/db", "***@host/db"),
    ],
)
def test_hide_address(address: str, shown: str) -> None:
    assert hide_address(address) == shown == hide_address(shown)
    assert has_secret(address) == (address != shown)
    if "://" in address:
        assert hide_in_text(f"cannot reach {address} now") == f"cannot reach {shown} now"


@pytest.mark.parametrize(
    "address",
    [
        "http://host:5000",
        "https://host/mlflow/",
        "sqlite:////home/me/optuna.db",
        "sqlite:////home/a:b@c/optuna.db",
        f"{DATABASE}host/db?sslmode=verify-full&sslkey=/k&passfile=/p&sslrootcert=/c",
        f"{DATABASE}me@[::1]:5432/db?application_name=tokens",
    ],
)
def test_an_address_without_a_secret_stays_as_it_is(address: str) -> None:
    assert hide_address(address) == hide_in_text(address) == address
    assert not has_secret(address)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("invalid dsn: host=h password=x y", "invalid dsn: host=h password=*** y"),
        ("connect(password='a b', host=h)", "connect(password=***, host=h)"),
        ("with url: /health?token=abc (Caused by", "with url: /health?token=*** (Caused by"),
        ("{'Authorization': 'Bearer abc'}", "{'Authorization': 'Bearer ***"),
        ("pad_token=a num_tokens=3 --token-file F", "pad_token=a num_tokens=3 --token-file F"),
        (
            "expected postgresql://USER:PASSWORD@HOST/NAME",
            "expected postgresql://USER:PASSWORD@HOST/NAME",
        ),
    ],
)
def test_hide_in_text(text: str, shown: str) -> None:
    assert hide_in_text(text) == shown


def test_secrets_of_the_environment_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in redaction.VARIABLES:
        monkeypatch.setenv(name, "hunter42")
        assert hide_secrets("it says hunter42 aloud") == "it says *** aloud"
        monkeypatch.delenv(name)
    assert hide_secrets("it says hunter42 aloud") == "it says hunter42 aloud"


def test_a_password_that_is_the_name_is_hidden_in_its_address_only() -> None:
    remember("postgresql://postgres:postgres@host/db")
    assert hide_secrets("postgresql://postgres:postgres@host: postgres is down") == (
        "postgresql://postgres:***@host: postgres is down"
    )


FORMS: list[Callable[[str], str]] = [
    lambda secret: f"postgresql://me:{secret}@host/db",
    lambda secret: f"postgresql+psycopg2://me:{quote(secret, safe='')}@host:5432/db",
    lambda secret: f"postgresql://host/db?user=me&password={secret}",
    lambda secret: f"postgresql://host/db?password={quote(secret, safe='')}&sslmode=require",
    lambda secret: f"postgresql://host/db?sslpassword={quote_plus(secret)}",
    lambda secret: f"postgresql://me:other@host/db?SSLPASSWORD={quote(secret, safe='')}",
    lambda secret: f"mysql://host/db?passwd={secret}",
    lambda secret: f"https://me:{quote(secret, safe='')}@host/mlflow",
    lambda secret: f"https://{quote(secret, safe='')}@host",
    lambda secret: f"https://{quote(secret, safe='')}:@host",
    lambda secret: f"https://{quote(secret, safe='')}:x-oauth-basic@host",
    lambda secret: f"https://host?token={secret}",
    lambda secret: f"https://host/#/experiments/3?access_token={quote(secret, safe='')}",
]
WRAPPED: list[Callable[[str, str], str]] = [
    lambda address, secret: f"MLflow at {address} does not answer",
    lambda address, secret: f"cannot use {address!r}, though {secret!r} is right",
    lambda address, secret: f"could not translate host name {json.dumps(secret)} to address",
    lambda address, secret: f"no such host: x{secret}y\nand a second line",
    lambda address, secret: f"(psycopg2.OperationalError) invalid: password={secret} of {address}",
]


@given(
    secret=st.text(
        st.characters(codec="utf-8", exclude_characters="*", exclude_categories=["Cs", "Cc"]),
        min_size=6,
        max_size=24,
    ),
    form=st.sampled_from(FORMS),
    wrapped=st.sampled_from(WRAPPED),
)
def test_no_secret_stands_in_any_message(
    secret: str, form: Callable[[str], str], wrapped: Callable[[str, str], str]
) -> None:
    assume(secret not in form("") + wrapped("", "") + "***")
    assume(not secret.isspace())
    redaction._known.clear()
    address = form(secret)
    remember(address)
    text = wrapped(address, secret)
    for shown in (hide_secrets(text), str(Refusal(text)), first_line(AwayError(text))):
        assert secret not in shown
        assert quote(secret, safe="") not in shown
    assert has_secret(address)
    assert secret not in hide_address(address)
