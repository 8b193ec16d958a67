"""A connection of Airflow's type mysql, against a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from rees46_sync.airflow_adapters.connections import get_database_hook
from rees46_sync.airflow_adapters.mysql_hook import MySqlHook
from rees46_sync.exceptions import ConnectionFieldsError
from tests import mariadb as mariadb_module
from tests.mariadb import MariaDB


def make_engine(connection: str, monkeypatch: pytest.MonkeyPatch) -> sa.Engine:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", connection)
    return get_database_hook("shop").get_sqlalchemy_engine({"hide_parameters": True})


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
        pytest.param({"ssl_ca": "/no/such.pem"}, ["extra ssl cannot be used", "path of a PEM file"], id="file"),
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
    """A folder with a certificate for "localhost", signed by itself, its key, and another certificate."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("server", "other"):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
            .not_valid_after(datetime(2120, 1, 1, tzinfo=UTC))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (folder / f"{name}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
    return folder


@pytest.fixture(scope="module")
def tls_server(certificates: Path) -> Iterator[MariaDB]:
    """A server that accepts connections with and without TLS."""
    if mariadb_module.missing:
        pytest.skip(mariadb_module.missing)
    files = [f"--ssl-cert={certificates / 'server.pem'}", f"--ssl-key={certificates / 'server.key'}"]
    with mariadb_module.running_mariadb(*files) as server:
        yield server


ENCRYPTED = "SHOW SESSION STATUS LIKE 'Ssl_cipher'"


@pytest.mark.parametrize(
    ("host", "extra", "encrypted"),
    [
        pytest.param("127.0.0.1", {}, False, id="no-setting"),
        pytest.param("127.0.0.1", {"ssl_disabled": "true", "ssl_ca": "{server}"}, False, id="disabled"),
        pytest.param("127.0.0.1", {"ssl_mode": "REQUIRED"}, True, id="required"),
        pytest.param("127.0.0.1", {"ssl_ca": "{server}"}, True, id="ca"),
        pytest.param("127.0.0.1", {"ssl": {"ca": "{server}"}}, True, id="ssl"),
        pytest.param("127.0.0.1", {"ssl": '{"ca": "{server}"}'}, True, id="ssl-as-text"),
        pytest.param("localhost", {"ssl_mode": "verify_identity", "ssl_ca": "{server}"}, True, id="identity"),
    ],
)
def test_tls_follows_the_extra(
    tls_server: MariaDB,
    certificates: Path,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    extra: dict[str, object],
    encrypted: bool,
) -> None:
    text = tls_server.connection("mysql", **extra).replace("{server}", str(certificates / "server.pem"))

    name, cipher = fetch_one(text.replace("127.0.0.1", host), ENCRYPTED, monkeypatch)

    assert (name, bool(cipher)) == ("Ssl_cipher", encrypted)


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param({"ssl_ca": "{other}"}, id="another-authority"),
        pytest.param({"ssl_mode": "VERIFY_CA"}, id="no-authority-of-this-machine"),
        pytest.param({"ssl_mode": "VERIFY_IDENTITY", "ssl_ca": "{server}"}, id="another-host"),
        pytest.param({"ssl_verify_identity": True, "ssl_ca": "{server}"}, id="another-host-by-a-switch"),
    ],
)
def test_a_server_that_cannot_prove_its_identity_is_refused(
    tls_server: MariaDB, certificates: Path, monkeypatch: pytest.MonkeyPatch, extra: dict[str, object]
) -> None:
    text = tls_server.connection("mysql", **extra)
    for name in ("server", "other"):
        text = text.replace(f"{{{name}}}", str(certificates / f"{name}.pem"))

    with pytest.raises(sa.exc.OperationalError, match="CERTIFICATE_VERIFY_FAILED"):
        fetch_one(text, "SELECT 1", monkeypatch)
