"""Connections of Airflow as they are written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rees46_sync.airflow_adapters.connections import create_engine, get_connection, get_database_hook
from rees46_sync.doctor.connections import describe_connection
from rees46_sync.exceptions import ConnectionFieldsError
from rees46_sync.rees46.connection import read_settings


@pytest.mark.parametrize(
    ("written", "login"), [("357382", "357382"), ("0", "0"), ("12345678901234567890123", "12345678901234567890123")]
)
def test_a_login_may_be_a_number_in_json(monkeypatch: pytest.MonkeyPatch, written: str, login: str) -> None:
    text = f'{{"conn_type": "http", "login": {written}, "password": 1.50, "extra": {{"concurrency": 2}}}}'
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", text)

    settings = read_settings("shop")

    assert (settings.shop_id, settings.shop_secret, settings.concurrency) == (login, "1.50", 2)


def test_a_database_may_have_numbers_for_login_and_password(
    monkeypatch: pytest.MonkeyPatch, postgres_home: Path
) -> None:
    fields = {"conn_type": "postgres", "host": f"{postgres_home}/postgres", "login": 357382, "password": 1}
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps(fields | {"schema": "postgres"}))

    hook = get_database_hook("shop")

    assert create_engine(hook).url.username == "357382"
    assert describe_connection(hook).startswith("shop (postgres, host ")


def test_a_mysql_database_may_have_a_number_for_its_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", '{"conn_type": "mysql", "host": "db", "login": 357382}')

    assert create_engine(get_database_hook("shop")).url.username == "357382"


@pytest.mark.parametrize("text", ['{"conn_type": "http", "login": true}', '{"login"'])
def test_what_is_no_connection_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", text)

    with pytest.raises(ConnectionFieldsError, match="AIRFLOW_CONN_SHOP cannot be read; write it as JSON"):
        get_connection("shop")


def test_a_password_that_is_a_number_is_masked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from airflow.sdk.log import redact

    monkeypatch.setenv("AIRFLOW_CONN_SHOP", '{"conn_type": "http", "login": 7, "password": 73519284}')
    get_connection("shop")

    assert redact("the password is 73519284") == "the password is ***"
