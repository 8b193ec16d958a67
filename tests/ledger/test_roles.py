"""The roles of docs/ledger.md, exactly as they are granted there: each can do its part, and no more."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from rees46_sync.exceptions import LedgerError, LedgerSchemaError
from rees46_sync.ledger.__main__ import main
from rees46_sync.ledger.approvals import Approvals
from rees46_sync.ledger.confirmations import Confirmations
from rees46_sync.ledger.database import Ledger, interactive_ledger
from rees46_sync.ledger.extractions import Extractions
from rees46_sync.ledger.lookup import NOTHING_ACCEPTED, look_up
from rees46_sync.ledger.migrations import VERSION
from rees46_sync.ledger.quarantine import Quarantine, RejectedRow
from rees46_sync.ledger.requests import RequestResult, Requests
from rees46_sync.ledger.retention import remove_older
from rees46_sync.ledger.runs import RunRef, Runs
from rees46_sync.ledger.views import VIEWS
from rees46_sync.monitoring.alerts import Alerts
from rees46_sync.monitoring.freshness import sync_progress
from rees46_sync.monitoring.page.queries import ShopQueries
from rees46_sync.shop.shop import MAX_SETTLE
from tests.conftest import FAR_FUTURE, PROJECT, accept, open_request, start_extraction
from tests.e2e.airflow_stack import postgres_connection, postgres_uri
from tests.ledger.builders import (
    FIRING,
    LATER_RUN,
    NO_LOOKBACK,
    NOON,
    OPS,
    QUIET,
    RUN,
    build_message,
    build_orders,
    regular,
    run_record,
)
from tests.mariadb import MariaDB

DOCUMENT = (PROJECT / "docs" / "ledger.md").read_text("utf-8")
ROLES = ("rees46_owner", "rees46_runs", "rees46_page")
NEXT_RUN = RunRef(shop="test", dag_id="dag", run_id="run-3", extraction_id="extraction-3")


def read_grants(section: str) -> list[list[str]]:
    """Return the statements of a section of the document: those of the owner, of the runs, and of the page."""
    text = DOCUMENT.partition(f"### {section}\n")[2].partition("\n## ")[0].partition("\n### ")[0]
    blocks = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == len(ROLES)
    return [
        [statement.strip() for statement in re.sub(r"--.*", "", block).split(";") if statement.strip()]
        for block in blocks
    ]


@dataclass
class Roles:
    """
    A database whose owner has created the tables, and whose other roles have their grants.

    :param execute: runs statements as the administrator.
    :param connection: the Airflow connection of a role.
    """

    execute: Callable[[list[str]], None]
    connection: Callable[[str], str]
    blocks: list[list[str]]


def _postgres_roles(home: Path) -> Iterator[Roles]:
    database = "rees46_roles"

    def execute(statements: list[str], in_database: str = database) -> None:
        engine = sa.create_engine(postgres_uri(home, in_database), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(sa.text(statement))
        engine.dispose()

    execute([f"CREATE DATABASE {database}"], "postgres")
    yield Roles(
        execute,
        lambda role: postgres_connection(home, database).replace("//postgres@", f"//{role}@"),
        read_grants("PostgreSQL"),
    )
    execute([f"DROP DATABASE {database} WITH (FORCE)", *(f"DROP ROLE {role}" for role in ROLES)], "postgres")


def _mariadb_roles(server: MariaDB) -> Iterator[Roles]:
    database = server.create_database()

    def execute(statements: list[str]) -> None:
        server.execute(*(statement.replace("rees46.", f"{database}.") for statement in statements))

    yield Roles(
        execute, lambda role: server.connection(database, login=role, password="change me"), read_grants("MariaDB")
    )
    server.execute(f"DROP DATABASE {database}", *(f"DROP USER {role}" for role in ROLES))


@pytest.fixture(params=["postgresql", "mariadb"])
def roles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Roles]:
    if request.param == "postgresql":
        created = _postgres_roles(request.getfixturevalue("postgres_home"))
    else:
        created = _mariadb_roles(request.getfixturevalue("mariadb"))
    for roles in created:
        for role in ROLES:
            monkeypatch.setenv(f"AIRFLOW_CONN_{role.upper()}", roles.connection(role))
        owner, runs, page = roles.blocks
        roles.execute(owner)
        assert main(["rees46_owner"]) == 0
        roles.execute([*runs, *page])
        yield roles


def do_what_runs_do(ledger: Ledger) -> None:
    ledger.migrate()
    for run in (RUN, LATER_RUN):
        start_extraction(ledger, run, NOON, NOON + timedelta(hours=1))
    for status in (0, 1):
        accept(ledger, RUN, 0, build_orders(("1", status), ("2", status)))
    found = build_orders(("1", 1), ("2", 1), at=NOON + timedelta(minutes=1)).assign(is_newer=True)
    assert Confirmations(ledger).confirm(LATER_RUN, found, Extractions(ledger).others(LATER_RUN)) == 2
    Requests(ledger).change_token(RUN)
    Requests(ledger).cancel_request(open_request(ledger, RUN, build_orders(("1", 1))))
    refused = open_request(ledger, RUN, build_orders(("1", 2)))
    Requests(ledger).record_result(RUN, 0, RequestResult(refused, 1, NOON, "rejected"))
    open_request(ledger, RUN, build_orders(("2", 2), ("4", 2)))
    Requests(ledger).take_lease("test")
    again = open_request(ledger, RUN, build_orders(("2", 2), ("4", 2)))
    Requests(ledger).record_result(RUN, 0, RequestResult(again, 1, FAR_FUTURE + MAX_SETTLE))
    others = Extractions(ledger).others(RUN)
    known = look_up(ledger, "test", ["1", "2"], RUN.extraction_id, others, timedelta(hours=1))
    assert known["uncertain"].tolist() == [True, False]
    assert Requests(ledger).count(RUN.extraction_id) > 0
    Requests(ledger).accepted_by_partition(RUN.extraction_id)
    Quarantine(ledger).store("test", "run-1", [RejectedRow("3", "sent back", "", "status_unmapped")])
    Approvals(ledger).record(RUN, "asked", "2 orders would change")
    Approvals(ledger).latest(RUN.dag_id, RUN.run_id)
    for _ in range(2):
        Runs(ledger).save(**run_record("run-1", **regular(0, 1)))
    assert Runs(ledger).watermark("test", NO_LOOKBACK) is not None
    alerts = Alerts(ledger, "test")
    alerts.record(FIRING, (OPS,), build_message, NOON)
    alerts.record(QUIET, (OPS,), build_message, NOON)
    [(number, _)] = alerts.pending(OPS)
    assert alerts.claim(number, NOON)
    alerts.mark_sent(number, NOON)
    Extractions(ledger).close(RUN)
    later = datetime.now(UTC) + timedelta(days=1)
    Extractions(ledger).remove_older("test", later)
    assert Confirmations(ledger).confirm(NEXT_RUN, found, Extractions(ledger).others(NEXT_RUN)) == 2
    Runs(ledger).save(**run_record("run-0", **regular(0, 1, read_at=1), finished_at=NOON))
    removed = remove_older(ledger, "test", later, timedelta(hours=1))
    assert removed.keys() == {
        "rees46_accepted_statuses", "rees46_deliveries", "rees46_rejected_orders", "rees46_approvals",
        "rees46_alert_messages", "rees46_uncertain_orders", "rees46_sync_runs",
    }  # fmt: skip


@pytest.mark.clock
def test_the_role_of_the_runs_can_do_all_that_runs_do(roles: Roles) -> None:
    ledger = Ledger.from_conn_id("rees46_runs")
    statements: list[str] = []
    sa.event.listen(ledger.engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))

    do_what_runs_do(ledger)

    assert not [one for one in statements if one.lstrip().upper().startswith(("CREATE", "ALTER", "DROP", "COMMENT"))]
    ledger.engine.dispose()


@pytest.mark.clock
def test_the_role_of_the_page_reads_everything_and_writes_nothing(roles: Roles) -> None:
    runs, page = Ledger.from_conn_id("rees46_runs"), Ledger.from_conn_id("rees46_page")
    accept(runs, RUN, 0, build_orders(("1", 1)))
    Runs(runs).save(**run_record("run-1", **regular(0, 1)))

    with interactive_ledger("rees46_page") as shown:
        queries = ShopQueries(shown, "test", timedelta(hours=1))
        assert shown.has_tables()
        assert sync_progress(shown, "test", NO_LOOKBACK).watermark is not None
        assert len(queries.order("1").accepted) == 1
        assert len(queries.runs()) == 1
        assert (Quarantine(shown).count("test").rows, queries.unmapped([]), Alerts(shown, "test").firing()) == (
            0,
            [],
            [],
        )
        assert sum(count for _, count in queries.sent_per("hour", 3, datetime.now(UTC))) == 1
        with shown.transaction() as connection:
            counts = [connection.scalar(sa.select(sa.func.count()).select_from(sa.table(view))) for view in VIEWS]
        assert counts == [1, 1, 0]
    with pytest.raises(LedgerError, match=r"denied.*rees46_(leases|in_flight_requests)"):
        open_request(page, RUN, build_orders(("1", 2)))
    for ledger in (runs, page):
        ledger.engine.dispose()


def test_a_missing_right_is_named(roles: Roles) -> None:
    table = "rees46.rees46_deliveries" if "mysql" in roles.connection("x") else "rees46_deliveries"
    roles.execute([f"REVOKE INSERT ON {table} FROM rees46_runs"])
    ledger = Ledger.from_conn_id("rees46_runs")
    request = open_request(ledger, RUN, build_orders(("1", 1)))

    with pytest.raises(LedgerError, match=r"denied.*rees46_deliveries"):
        Requests(ledger).record_result(RUN, 0, RequestResult(request, 1, NOON))

    assert look_up(ledger, "test", ["1"])["known_status"].tolist() == [NOTHING_ACCEPTED]
    ledger.engine.dispose()


def test_a_role_that_may_not_migrate_names_the_command(roles: Roles, capsys: pytest.CaptureFixture[str]) -> None:
    prefix = "rees46." if "mysql" in roles.connection("x") else ""
    roles.execute([f"DELETE FROM {prefix}rees46_schema_versions", f"DROP TABLE {prefix}rees46_retention"])
    ledger = Ledger.from_conn_id("rees46_runs")

    with pytest.raises(LedgerSchemaError, match=r"is version 1, .* may not change .*python -m rees46_sync\.ledger"):
        ledger.migrate()
    assert main(["rees46_runs"]) == 1
    assert "may not change that" in capsys.readouterr().err
    assert main(["rees46_owner"]) == 0
    ledger.migrate()
    ledger.engine.dispose()


@pytest.mark.parametrize("roles", ["mariadb"], indirect=True)
def test_an_owner_that_may_not_create_views_has_current_tables_all_the_same(
    roles: Roles, caplog: pytest.LogCaptureFixture
) -> None:
    roles.execute(
        [
            "REVOKE CREATE VIEW ON rees46.* FROM rees46_owner",
            *(f"DROP VIEW rees46.{view}" for view in VIEWS),
            f"UPDATE rees46.rees46_schema_versions SET version = {VERSION - 1}",
        ]
    )

    with caplog.at_level(logging.WARNING):
        assert main(["rees46_owner"]) == 0

    assert "VIEW rees46_orders_view was refused (" in caplog.text
    assert "CREATE VIEW command denied" in caplog.text
    ledger = Ledger.from_conn_id("rees46_runs")
    ledger.migrate()
    accept(ledger, RUN, 0, build_orders(("1", 1)))
    ledger.engine.dispose()
