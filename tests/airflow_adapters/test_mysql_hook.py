"""A connection of Airflow's type mysql, against a real server."""

from __future__ import annotations

import functools
import json
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pymysql
import pytest
import sqlalchemy as sa
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

from rees46_sync.airflow_adapters import encryption
from rees46_sync.airflow_adapters.connections import create_engine, get_database_hook
from rees46_sync.airflow_adapters.mysql_hook import MySqlHook
from rees46_sync.doctor import connections as doctor
from rees46_sync.doctor.findings import Level
from rees46_sync.exceptions import ConnectionFieldsError, LedgerError
from rees46_sync.ledger.database import Ledger
from tests import mariadb as mariadb_module
from tests.mariadb import MariaDB
from tests.tls import make_certificates


def make_engine(connection: str, monkeypatch: pytest.MonkeyPatch) -> sa.Engine:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", connection)
    return create_engine(get_database_hook("shop"))


def fetch_one(connection: str, query: str, monkeypatch: pytest.MonkeyPatch) -> tuple[object, ...]:
    engine = make_engine(connection, monkeypatch)
    try:
        with engine.connect() as there:
            return tuple(there.exec_driver_sql(query).one())
    finally:
        engine.dispose()


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param({}, id="none"),
        pytest.param({"client": "mysqlclient"}, id="mysqlclient"),
        pytest.param({"client": "mysql-connector-python"}, id="connector"),
        pytest.param({"client": "pymysql"}, id="pymysql"),
        pytest.param({"charset": "utf8", "cursor": "SSCursor", "local_infile": True}, id="of-other-drivers"),
    ],
)
def test_a_connection_works_whichever_driver_it_was_written_for(
    mariadb: MariaDB, monkeypatch: pytest.MonkeyPatch, extra: dict[str, object]
) -> None:
    database = mariadb.create_database()
    login = mariadb.create_user("p@ss:/%?#", f"SELECT ON {database}.*")

    found = fetch_one(
        mariadb.connection(database, login, "p@ss:/%?#", **extra), "SELECT DATABASE(), USER(), '😀'", monkeypatch
    )

    assert found == (database, f"{login}@127.0.0.1", "😀")


def test_a_connection_may_be_written_as_a_uri(mariadb: MariaDB, monkeypatch: pytest.MonkeyPatch) -> None:
    database = mariadb.create_database()
    login = mariadb.create_user("p@ss", f"SELECT ON {database}.*")

    uri = f"mysql://{login}:p%40ss@127.0.0.1:{mariadb.port}/{database}?charset=utf8mb4"

    assert fetch_one(uri, "SELECT DATABASE()", monkeypatch) == (database,)


def test_airflow_can_use_the_hook_itself(mariadb: MariaDB, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", mariadb.connection(mariadb.create_database()))
    hook = get_database_hook("shop")

    assert hook.get_first("SELECT %s + 1", (1,)) == (2,)
    assert hook.test_connection() == (True, "Connection successfully tested")
    assert sa.make_url(hook.get_uri()).port == mariadb.port


def test_airflows_connection_form_offers_the_type() -> None:
    [form] = [meta for meta in HookMetaService.hook_meta_data() if meta.connection_type == "mysql"]

    assert form.hook_class_name == f"{MySqlHook.__module__}.{MySqlHook.__name__}"


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        pytest.param({"iam": True}, ["extra iam", "a user who has a password"], id="iam"),
        pytest.param({"ssl": "ca.pem"}, ["extra ssl is no JSON object", '{"ca": '], id="ssl-text"),
        pytest.param({"ssl": True}, ["extra ssl is no JSON object"], id="ssl-switch"),
        pytest.param({"ssl_mode": "ALWAYS"}, ["ssl_mode is ALWAYS", "REQUIRED", "VERIFY_CA"], id="mode"),
        pytest.param({"ssl_ca": "/no/such.pem"}, ["file or cipher of extra ssl", "path of a PEM file"], id="file"),
        pytest.param({"ssl_cipher": "none"}, ["file or cipher of extra ssl"], id="cipher"),
        pytest.param({"ssl_key": "/no/such.pem"}, ["ssl_key has no ssl_cert"], id="key-alone"),
        pytest.param({"ssl_disabled": "perhaps"}, ["ssl_disabled is neither true nor false"], id="switch"),
        pytest.param({"ssl_mode": "VERIFY_CA", "ssl_verify_cert": 0}, ["contradict each other"], id="not-verified"),
    ],
)
def test_an_extra_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, extra: dict[str, object], words: list[str]
) -> None:
    connection = json.dumps({"conn_type": "mysql", "host": "127.0.0.1", "password": "hidden", "extra": extra})

    with pytest.raises(ConnectionFieldsError) as caught:
        make_engine(connection, monkeypatch)

    message = str(caught.value)
    assert message.startswith("Connection shop: ")
    assert [word for word in words if word not in message] == []
    assert "hidden" not in message


# TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def tls_servers(certificates: Path) -> Iterator[Callable[[str], MariaDB]]:
    """Return the server with a certificate; without a name, one without TLS."""
    if mariadb_module.missing:
        pytest.skip(mariadb_module.missing)
    with ExitStack() as opened:

        @functools.cache
        def running(certificate: str) -> MariaDB:
            file = certificates / f"{certificate}.pem"
            options = [f"--ssl-cert={file}", f"--ssl-key={file.with_suffix('.key')}"] if certificate else []
            return opened.enter_context(mariadb_module.running_mariadb(*options))

        yield running


def tls_connection(server: MariaDB, certificates: Path, **extra: object) -> str:
    """Return a connection to localhost, which the certificates name; {folder} in the extra is that of certificates."""
    text = server.connection("mysql", **extra).replace("127.0.0.1", "localhost")
    return text.replace("{folder}", str(certificates))


ENCRYPTED = "SHOW SESSION STATUS LIKE 'Ssl_cipher'"
CA = {"ssl_ca": "{folder}/ca.pem"}


@pytest.mark.parametrize(
    ("certificate", "extra", "encrypted"),
    [
        pytest.param("good", {}, False, id="no-setting"),
        pytest.param("good", {"ssl_mode": "DISABLED"}, False, id="disabled"),
        pytest.param("good", {"ssl_disabled": "true", **CA}, False, id="disabled-by-a-switch"),
        pytest.param("good", {"ssl_mode": "PREFERRED"}, True, id="preferred"),
        pytest.param("self-signed", {"ssl_mode": "PREFERRED"}, True, id="preferred-self-signed"),
        pytest.param("", {"ssl_mode": "PREFERRED"}, False, id="preferred-without-tls"),
        pytest.param("good", {"ssl_mode": "REQUIRED"}, True, id="required"),
        pytest.param("self-signed", {"ssl_mode": "REQUIRED"}, True, id="required-self-signed"),
        pytest.param("good", CA, True, id="ca"),
        pytest.param("wrong-name", CA, True, id="ca-wrong-name"),
        pytest.param("wrong-name", {"ssl_mode": "VERIFY_CA", **CA}, True, id="verify-ca-wrong-name"),
        pytest.param("good", {"ssl_verify_cert": True, **CA}, True, id="verify-ca-by-a-switch"),
        pytest.param("good", {"ssl": {"ca": "{folder}/ca.pem"}}, True, id="ssl"),
        pytest.param("good", {"ssl": '{"ca": "{folder}/ca.pem"}'}, True, id="ssl-as-text"),
        pytest.param("good", {"ssl_mode": "verify_identity", **CA}, True, id="identity"),
        pytest.param("good", {"ssl_verify_identity": "1", **CA}, True, id="identity-by-a-switch"),
        pytest.param("self-signed", {"ssl_verify_cert": False, **CA}, True, id="not-verified-by-a-switch"),
        pytest.param("good", {"ssl_mode": "REQUIRED", "ssl_verify_identity": True, **CA}, True, id="mode-and-switch"),
        pytest.param("good", {"ssl_cipher": "ECDHE+AESGCM", **CA}, True, id="cipher"),
    ],
)
def test_tls_follows_the_extra(
    tls_servers: Callable[[str], MariaDB],
    certificates: Path,
    monkeypatch: pytest.MonkeyPatch,
    certificate: str,
    extra: dict[str, object],
    encrypted: bool,
) -> None:
    text = tls_connection(tls_servers(certificate), certificates, **extra)

    name, cipher = fetch_one(text, ENCRYPTED, monkeypatch)

    assert (name, bool(cipher)) == ("Ssl_cipher", encrypted)
    assert get_database_hook("shop").get_first(ENCRYPTED) == (name, cipher)


@pytest.mark.parametrize(
    ("certificate", "extra"),
    [
        pytest.param("self-signed", CA, id="ca-self-signed"),
        pytest.param("", CA, id="ca-without-tls"),
        pytest.param("", {"ssl_mode": "REQUIRED"}, id="required-without-tls"),
        pytest.param("good", {"ssl_mode": "VERIFY_CA"}, id="no-authority-of-this-machine"),
        pytest.param("self-signed", {"ssl_mode": "VERIFY_IDENTITY", **CA}, id="identity-self-signed"),
        pytest.param("wrong-name", {"ssl_mode": "VERIFY_IDENTITY", **CA}, id="identity-wrong-name"),
        pytest.param("", {"ssl_mode": "VERIFY_IDENTITY", **CA}, id="identity-without-tls"),
        pytest.param("wrong-name", {"ssl_verify_identity": True, **CA}, id="switch-wrong-name"),
        pytest.param("self-signed", {"ssl_cipher": "ECDHE+AESGCM"}, id="cipher-self-signed"),
    ],
)
@pytest.mark.parametrize("by", ["warehouse", "ledger", "hook"])
def test_a_server_that_cannot_prove_its_identity_is_refused(
    tls_servers: Callable[[str], MariaDB],
    certificates: Path,
    monkeypatch: pytest.MonkeyPatch,
    certificate: str,
    extra: dict[str, object],
    by: str,
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", tls_connection(tls_servers(certificate), certificates, **extra))
    hook = get_database_hook("shop")

    connect = {
        "warehouse": lambda: create_engine(hook).connect(),
        "ledger": lambda: Ledger.from_conn_id("shop").has_runs(),
        "hook": hook.get_conn,
    }

    errors = (pymysql.err.OperationalError, sa.exc.OperationalError, LedgerError)
    with pytest.raises(errors, match=r"CERTIFICATE_VERIFY_FAILED|has no TLS"):
        connect[by]()


@pytest.mark.parametrize(
    ("certificate", "extra", "host", "is_said"),
    [
        pytest.param("", {"ssl_mode": "PREFERRED"}, "localhost", True, id="preferred-without-tls"),
        pytest.param("good", {"ssl_mode": "PREFERRED"}, "localhost", False, id="preferred"),
        pytest.param("", {}, "localhost", False, id="this-machine"),
        pytest.param("", {}, "db.example.com", True, id="another-machine"),
        pytest.param("", {"ssl_mode": "DISABLED"}, "db.example.com", False, id="as-the-connection-says"),
        pytest.param("good", {"ssl_mode": "REQUIRED"}, "db.example.com", False, id="encrypted"),
    ],
)
def test_plain_text_is_said(
    tls_servers: Callable[[str], MariaDB],
    certificates: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    certificate: str,
    extra: dict[str, object],
    host: str,
    is_said: bool,
) -> None:
    monkeypatch.setattr(encryption, "_warned", set())
    connect_to = socket.create_connection
    monkeypatch.setattr(
        socket, "create_connection", lambda place, *more, **also: connect_to(("127.0.0.1", place[1]), *more, **also)
    )
    text = tls_connection(tls_servers(certificate), certificates, **extra).replace("localhost", host)
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", text)

    finding = doctor.answers("warehouse.connection", get_database_hook("shop"))

    assert finding.level is (Level.WARNING if is_said else Level.OK)
    assert ("ssl_mode VERIFY_IDENTITY" in finding.remedy) == is_said
    logged = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert ["plain text; set ssl_mode" in line and host in line for line in logged] == [True] * is_said
