"""Loads and runs outlive the connections to their databases: poolers, idle limits, restarts, failovers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from rees46_sync.exceptions import LedgerError
from rees46_sync.ledger.dialects import POOL
from rees46_sync.ledger.requests import Requests
from rees46_sync.ledger.runs import RunRef
from rees46_sync.sandbox.server import Sandbox
from tests import pgbouncer
from tests.conftest import ShopUnderTest, postgres_folder
from tests.e2e.airflow_stack import embedded_postgres, postgres_connection
from tests.mariadb import MariaDB
from tests.pipeline.deliveries import Partition, codes_at, codes_of, numbered, tally_of
from tests.whole_run import IN_WINDOW, run_dag

pytestmark = pytest.mark.databases

IDLE_LIMIT_S, LONGER_S = 3, 5
KINDS = ["postgresql", "mariadb"]


class Postgres:
    """A PostgreSQL that a test may stop, start and reconfigure."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.folder = server.get_postmaster_info().socket_dir
        self._numbers = count()

    def execute(self, *statements: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        place = {"host": str(self.folder), "user": "postgres", "dbname": database}
        with psycopg.connect(**place, autocommit=True, options="-c default_transaction_read_only=off") as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def create_database(self) -> str:
        name = f"fresh_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def connection(self, database: str) -> str:
        return postgres_connection(self.folder.parent, database)

    def set(self, setting: str) -> None:
        self.execute(f"ALTER SYSTEM {setting}", "SELECT pg_reload_conf()")

    def restart(self) -> None:
        self.server.stop()
        self.server.ensure_postgres_running()


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres_folder() as home, embedded_postgres(home) as server:
        yield Postgres(server)


@pytest.fixture
def postgres(server: Postgres) -> Iterator[Postgres]:
    yield server
    server.set("RESET ALL")


@pytest.fixture
def pooler(server: Postgres) -> Iterator[pgbouncer.PgBouncer]:
    if pgbouncer.missing:
        pytest.skip(pgbouncer.missing)
    with pgbouncer.running_pgbouncer(server.folder) as running:
        yield running


@pytest.fixture(params=KINDS)
def impatient(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database, as an Airflow connection, whose server closes connections that are idle for three seconds."""
    if request.param == "postgresql":
        postgres: Postgres = request.getfixturevalue("postgres")
        postgres.set(f"SET idle_session_timeout = '{IDLE_LIMIT_S}s'")
        yield postgres.connection(postgres.create_database())
        return
    mariadb: MariaDB = request.getfixturevalue("mariadb")
    [[usual]] = mariadb.execute("SELECT @@global.wait_timeout")
    mariadb.execute(f"SET GLOBAL wait_timeout = {IDLE_LIMIT_S}")
    yield mariadb.connection(mariadb.create_database())
    mariadb.execute(f"SET GLOBAL wait_timeout = {usual}")


@pytest.fixture
def open_partition(new_ledger: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Partition]:
    """Return a partition whose ledger is in a database, an Airflow connection."""

    def open_one(connection: str) -> Partition:
        conn_id = new_ledger()
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", connection)
        return Partition(conn_id)

    return open_one


class Meanwhile:
    """
    A sender in front of another one, that does something during one of the requests.

    :param at: during which one, counted from 1.
    """

    def __init__(self, sender: Any, at: int, action: Callable[[], object]) -> None:
        self.sender, self.at, self.action = sender, at, action
        self.numbers = count(1)

    def send(self, orders: Any, may_post: Any) -> Any:
        number = next(self.numbers)
        sent = self.sender.send(orders, may_post)
        if number == self.at:
            self.action()
        return sent

    def stop_waiting(self) -> None:
        self.sender.stop_waiting()


def fill(postgres: Postgres, database: str, *rows: tuple[str, str, object]) -> None:
    """Replace the orders in a warehouse."""
    postgres.execute(
        "CREATE TABLE IF NOT EXISTS orders (order_id text, status text, updated_at timestamp)",
        "TRUNCATE orders",
        *(f"INSERT INTO orders VALUES ('{order_id}', '{status}', '{at}')" for order_id, status, at in rows),
        database=database,
    )


def test_runs_whose_databases_are_behind_pgbouncer_are_green_one_after_the_other(
    shop: ShopUnderTest, postgres: Postgres, pooler: pgbouncer.PgBouncer
) -> None:
    warehouse, ledger = postgres.create_database(), postgres.create_database()
    shop.connect("shop_warehouse", pooler.connection(warehouse))
    shop.connect("shop_ledger", pooler.connection(ledger))
    shop.configure(partition_rows=1000)
    fill(postgres, warehouse, *((str(n), "new", IN_WINDOW) for n in range(3_000)))
    assert run_dag().state == "success"
    fill(postgres, warehouse, *((str(n), "delivered", IN_WINDOW) for n in range(3_000)))

    assert run_dag().state == "success"

    assert shop.sandbox.state() == {str(n): 1 for n in range(3_000)}
    assert shop.sandbox.stats()["orders"] == 6_000


def test_nothing_of_a_session_is_left_behind_in_pgbouncer(
    postgres: Postgres, pooler: pgbouncer.PgBouncer, open_partition: Callable[[str], Partition]
) -> None:
    database = postgres.create_database()
    ledger = open_partition(pooler.connection(database)).ledger
    for _ in range(8):
        Requests(ledger).change_token(RunRef("test", "dag", "run", "extraction-1"))
    with ledger.transaction() as connection:
        assert connection.scalar(sa.text("SHOW statement_timeout")) == "2min"
        assert connection.scalar(sa.text("SELECT count(*) FROM pg_prepared_statements")) == 0

    with psycopg.connect(host="127.0.0.1", port=pooler.port, user="postgres", dbname=database) as other:
        assert other.execute("SHOW statement_timeout").fetchone() == ("0",)


def test_a_load_with_many_threads_through_pgbouncer_meets_no_statement_of_another_client(
    postgres: Postgres, pooler: pgbouncer.PgBouncer, open_partition: Callable[[str], Partition], sandbox: Sandbox
) -> None:
    partition = open_partition(pooler.connection(postgres.create_database()))
    orders = numbered(600)

    assert partition.deliver(orders, concurrency=8) == tally_of(600, sent=600)

    assert sandbox.stats()["orders"] == 600
    assert partition.statuses(orders) == codes_of(orders)


@pytest.mark.parametrize(
    ("fault", "requests"),
    [
        pytest.param(f"slow:{LONGER_S}@x2", 3, id="answer"),
        pytest.param(f"503:{LONGER_S}@x1", 4, id="retry-after"),
    ],
)
def test_what_was_accepted_after_an_idle_limit_is_recorded_and_not_sent_again(
    impatient: str, open_partition: Callable[[str], Partition], sandbox: Sandbox, fault: str, requests: int
) -> None:
    partition, orders = open_partition(impatient), numbered(30)
    sandbox.reset(fault)

    assert partition.deliver(orders, concurrency=2) == tally_of(30, sent=30)

    assert sandbox.stats()["requests"] == requests
    assert sandbox.stats()["orders"] == 30
    assert partition.times_accepted() == dict.fromkeys(orders["order_id"], 1)


def test_a_run_with_answers_longer_than_the_idle_limit_is_green(shop: ShopUnderTest, impatient: str) -> None:
    shop.connect("shop_ledger", impatient)
    shop.configure(partition_rows=1000)
    shop.add_rows([(str(n), "new", IN_WINDOW) for n in range(2_000)])
    shop.sandbox.reset(latency_ms=LONGER_S * 1000)

    assert run_dag().state == "success"

    assert shop.sandbox.state() == {str(n): 0 for n in range(2_000)}
    assert shop.sandbox.stats()["orders"] == 2_000


def test_a_restart_of_the_ledgers_server_during_a_load_loses_nothing_and_nothing_is_sent_twice(
    postgres: Postgres, open_partition: Callable[[str], Partition], sandbox: Sandbox
) -> None:
    partition, orders = open_partition(postgres.connection(postgres.create_database())), numbered(400)
    delivery = partition.delivery(concurrency=4)
    delivery.sender = Meanwhile(delivery.sender, 10, postgres.restart)

    assert delivery.deliver(orders) == tally_of(400, sent=400)

    assert sandbox.stats()["orders"] == 400
    assert partition.times_accepted() == dict.fromkeys(orders["order_id"], 1)
    assert codes_at(sandbox) == codes_of(orders)


def test_a_ledger_that_is_read_only_for_a_moment_delays_a_load_and_loses_nothing(
    postgres: Postgres, open_partition: Callable[[str], Partition], sandbox: Sandbox
) -> None:
    partition, orders = open_partition(postgres.connection(postgres.create_database())), numbered(200)
    delivery = partition.delivery(concurrency=2)
    writable = threading.Timer(2, postgres.set, ["SET default_transaction_read_only = off"])

    def fail_over() -> None:
        postgres.set("SET default_transaction_read_only = on")
        writable.start()

    delivery.sender = Meanwhile(delivery.sender, 5, fail_over)

    assert delivery.deliver(orders) == tally_of(200, sent=200)

    writable.join()
    assert sandbox.stats()["orders"] == 200
    assert partition.times_accepted() == dict.fromkeys(orders["order_id"], 1)


def test_a_ledger_that_stays_read_only_ends_a_load_with_the_remedy_and_few_are_sent_again(
    postgres: Postgres, open_partition: Callable[[str], Partition], sandbox: Sandbox
) -> None:
    partition, orders = open_partition(postgres.connection(postgres.create_database())), numbered(400)
    partition.ledger.reconnect_s = 1
    delivery = partition.delivery(concurrency=2)
    read_only = "SET default_transaction_read_only = on"
    delivery.sender = Meanwhile(delivery.sender, 5, lambda: postgres.set(read_only))

    with pytest.raises(LedgerError, match="read-only transaction; let ledger_conn_id name the server that may be"):
        delivery.deliver(orders)
    postgres.set("RESET default_transaction_read_only")
    retried = partition.deliver(orders)

    assert retried["failed"] == 0
    assert partition.statuses(orders) == codes_of(orders) == codes_at(sandbox)
    assert sandbox.stats()["orders"] - 400 <= (2 + 2) * 10  # concurrency, and MAX_UNRECORDED


def test_a_load_with_32_requests_in_flight_opens_no_more_connections_than_its_pool_has(
    postgres: Postgres, open_partition: Callable[[str], Partition], sandbox: Sandbox
) -> None:
    database = postgres.create_database()
    partition = open_partition(postgres.connection(database))
    opened: list[object] = []
    sa.event.listen(partition.ledger.engine, "connect", lambda *connected: opened.append(connected))
    sandbox.reset(latency_ms=50)

    assert partition.deliver(numbered(2_000), concurrency=32) == tally_of(2_000, sent=2_000)

    assert len(opened) <= POOL["pool_size"]
