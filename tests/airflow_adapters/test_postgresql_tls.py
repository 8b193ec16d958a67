"""What a PostgreSQL connection says about TLS holds for the warehouse, with each of its drivers, and for the ledger."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from upath import UPath

from rees46_sync.airflow_adapters import encryption
from rees46_sync.airflow_adapters.connections import create_engine, get_database_hook
from rees46_sync.doctor import connections as doctor
from rees46_sync.doctor.findings import Level
from rees46_sync.exceptions import LedgerError, WarehouseError
from rees46_sync.ledger.database import Ledger
from rees46_sync.warehouse import reader
from rees46_sync.warehouse.reader import extract
from rees46_sync.window import Window
from tests.conftest import ShopUnderTest
from tests.tls import Front, make_certificates, postgres_front

WINDOW = Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))
ONE_ROW = "SELECT {} AS order_id, 'new' AS status, :window_start AS updated_at WHERE :window_start < :window_end"
QUERIES = {"adbc": ONE_ROW.format("'1'"), "psycopg": ONE_ROW.format("1.5")}
"""A numeric is read by psycopg alone."""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def front(postgres_home: Path, certificates: Path) -> Iterator[Callable[[str], Front]]:
    """Return the PostgreSQL with a certificate; without a name, one without TLS."""
    with ExitStack() as opened:

        def start(certificate: str) -> Front:
            file = certificates / f"{certificate}.pem" if certificate else None
            [unix_socket] = (postgres_home / "postgres").glob(".s.PGSQL.*[0-9]")
            return opened.enter_context(postgres_front(unix_socket, file))

        yield start


def connection(port: int, host: str = "localhost", **extra: object) -> str:
    fields = {"conn_type": "postgres", "host": host, "port": port, "login": "postgres", "password": "hidden"}
    return json.dumps(fields | {"schema": "postgres", "extra": extra})


def uri(port: int, certificates: Path) -> str:
    return f"postgres://postgres:hidden@localhost:{port}/postgres?sslmode=verify-full&sslrootcert={certificates}/ca.pem"


@pytest.mark.parametrize("driver", QUERIES)
def test_rows_come_encrypted_from_the_server_that_was_meant(
    shop: ShopUnderTest,
    monkeypatch: pytest.MonkeyPatch,
    front: Callable[[str], Front],
    certificates: Path,
    driver: str,
) -> None:
    good = front("good")
    shop.connect("shop_warehouse", uri(good.port, certificates))
    (shop.shops / "orders.sql").write_text(QUERIES[driver])

    by_arrow: list[bool] = []
    staged_rows = reader.staged_rows

    def recorded(*columns: Any) -> pa.Table:
        by_arrow.append(isinstance(columns[0], pa.Array))
        return staged_rows(*columns)

    monkeypatch.setattr(reader, "staged_rows", recorded)

    assert extract(shop.configure(), WINDOW, UPath(shop.folder / "staged")).read == 1

    assert by_arrow == [driver == "adbc"]
    assert set(good.encrypted) == {True}


@pytest.mark.parametrize("certificate", ["self-signed", "wrong-name", ""])
@pytest.mark.parametrize("driver", QUERIES)
def test_no_rows_come_from_another_server(
    shop: ShopUnderTest, front: Callable[[str], Front], certificates: Path, driver: str, certificate: str
) -> None:
    other = front(certificate)
    shop.connect("shop_warehouse", uri(other.port, certificates))
    (shop.shops / "orders.sql").write_text(QUERIES[driver])

    with pytest.raises(WarehouseError) as caught:
        extract(shop.configure(), WINDOW, UPath(shop.folder / "staged"))

    assert "hidden" not in str(caught.value)
    assert other.encrypted == []


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "postgresql+psycopg2"])
@pytest.mark.parametrize(
    ("certificate", "sslmode", "encrypted"),
    [
        pytest.param("good", "verify-full", [True], id="full-good"),
        pytest.param("self-signed", "verify-full", [], id="full-self-signed"),
        pytest.param("wrong-name", "verify-full", [], id="full-wrong-name"),
        pytest.param("", "verify-full", [], id="full-without-tls"),
        pytest.param("wrong-name", "verify-ca", [True], id="ca-wrong-name"),
        pytest.param("self-signed", "verify-ca", [], id="ca-self-signed"),
        pytest.param("", "require", [], id="require-without-tls"),
        pytest.param("good", "disable", [False], id="disable"),
    ],
)
def test_a_ledger_is_kept_by_the_server_that_was_meant(
    monkeypatch: pytest.MonkeyPatch,
    front: Callable[[str], Front],
    certificates: Path,
    scheme: str,
    certificate: str,
    sslmode: str,
    encrypted: list[bool],
) -> None:
    server = front(certificate)
    extra = {"sslmode": sslmode, "sslrootcert": f"{certificates}/ca.pem", "sqlalchemy_scheme": scheme}
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", connection(server.port, **extra))
    ledger = Ledger.from_conn_id("ledger")
    try:
        if encrypted:
            ledger.has_runs()
        else:
            with pytest.raises(LedgerError):
                ledger.has_runs()
    finally:
        ledger.engine.dispose()

    assert server.encrypted[:1] == encrypted


# Plain text


@pytest.fixture(autouse=True)
def nothing_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encryption, "_warned", set())


@pytest.mark.parametrize(
    ("certificate", "host", "extra", "is_said"),
    [
        pytest.param("", "db.example.com", {}, True, id="another-machine"),
        pytest.param("", "localhost,db.example.com", {}, True, id="one-of-two-machines"),
        pytest.param("", "db.example.com", {"sslmode": "prefer"}, True, id="preferred"),
        pytest.param("", "localhost", {"sslmode": "prefer"}, True, id="preferred-here"),
        pytest.param("", "localhost", {}, False, id="this-machine"),
        pytest.param("", "db.example.com", {"sslmode": "disable"}, False, id="as-the-connection-says"),
        pytest.param("good", "db.example.com", {}, False, id="encrypted"),
    ],
)
def test_plain_text_to_another_machine_is_said(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    front: Callable[[str], Front],
    certificate: str,
    host: str,
    extra: dict[str, Any],
    is_said: bool,
) -> None:
    here = ",".join(["127.0.0.1"] * len(host.split(",")))
    text = connection(front(certificate).port, host, hostaddr=here, **extra)
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", text)
    hook = get_database_hook("shop")

    finding = doctor.answers("warehouse.connection", hook)
    engine = create_engine(hook)
    for _ in range(2):
        with engine.connect() as session:
            session.execute(sa.select(1))
        engine.dispose()

    assert finding.level is (Level.WARNING if is_said else Level.OK)
    logged = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [("not encrypted" in line, host in line, "hidden" in line) for line in logged] == (
        [(True, True, False)] if is_said else []
    )
    assert ("sslmode verify-full" in finding.remedy) == is_said
