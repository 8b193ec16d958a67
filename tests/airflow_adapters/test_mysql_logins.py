"""Logging in as MySQL 8 does by default; MariaDB has other methods."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import pymysql
import pytest
from airflow.sdk import Connection

from rees46_sync.airflow_adapters.mysql_hook import MySqlHook
from tests.mysql8 import KEY_REQUEST, MySql8, running_mysql8
from tests.tls import make_certificates

PASSWORDS = ["secret of the shop", 'p@ss/w:ö%"x', "пароль", "秘密" * 20]


def log_in(server: MySql8, monkeypatch: pytest.MonkeyPatch, password: str | None = None, **extra: object) -> None:
    connection = Connection(
        conn_id="shop",
        conn_type="mysql",
        host="localhost",
        port=server.port,
        login="reader",
        password=server.password if password is None else password,
        schema="shop",
        extra=json.dumps(extra),
    )
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", connection.get_uri())
    MySqlHook("shop").get_conn().close()


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("is_cached", [True, False], ids=["known-to-the-server", "new-to-the-server"])
def test_without_tls_the_password_is_never_readable_on_the_wire(
    monkeypatch: pytest.MonkeyPatch, password: str, is_cached: bool
) -> None:
    with running_mysql8(MySql8(password, is_cached)) as server:
        log_in(server, monkeypatch)

    assert server.used_tls == [False]
    assert (KEY_REQUEST in server.received) is not is_cached
    assert not any(password.encode() in packet for packet in server.received)


def test_a_public_key_in_the_extra_is_used_and_none_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_mysql8(MySql8(PASSWORDS[0])) as server:
        log_in(server, monkeypatch, server_public_key=server.public_key.decode())

    assert KEY_REQUEST not in server.received


def test_a_server_that_has_not_the_private_key_does_not_learn_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    another = MySql8("")
    with running_mysql8(MySql8(PASSWORDS[0])) as server, pytest.raises(pymysql.err.OperationalError):
        log_in(server, monkeypatch, server_public_key=another.public_key.decode())

    with pytest.raises(ValueError, match="failed"):
        server.decrypted(server.received[-1])
    assert another.decrypted(server.received[-1]) == PASSWORDS[0].encode() + b"\0"


@pytest.mark.parametrize("password", PASSWORDS)
def test_over_tls_no_key_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, password: str) -> None:
    make_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "good.pem", tmp_path / "good.key")

    with running_mysql8(MySql8(password, context=context)) as server:
        log_in(server, monkeypatch, ssl_mode="VERIFY_IDENTITY", ssl_ca=str(tmp_path / "ca.pem"))

    assert server.used_tls == [True]
    assert KEY_REQUEST not in server.received


@pytest.mark.parametrize("given", ["wrong", ""])
def test_a_wrong_password_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    with (
        running_mysql8(MySql8(PASSWORDS[0])) as server,
        pytest.raises(pymysql.err.OperationalError, match="Access denied"),
    ):
        log_in(server, monkeypatch, password=given)
