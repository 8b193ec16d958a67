"""The roles of docs/ledger.md, exactly as they are granted there: each can do its part, and no more."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from rees46_sync.exceptions import LedgerError, LedgerSchemaError
from rees46_sync.ledger import __main__ as upgrade_ledger
from rees46_sync.ledger.confirmations import Readings
from rees46_sync.ledger.database import Answer, Ledger, RejectedRow
from rees46_sync.ledger.retention import remove_older
from rees46_sync.monitoring.alerts import Alerts
from rees46_sync.monitoring.page.queries import open_reports
from tests.conftest import PROJECT, accept, open_request
from tests.e2e.airflow_stack import postgres_connection, postgres_uri
from tests.ledger.test_ledger import LATER_RUN, NO_LOOKBACK, NOON, RUN, orders_of, run_record, widened
from tests.mariadb import MariaDB
from tests.monitoring.test_alerts import FIRING, OPS, QUIET, message_of

DOCUMENT = (PROJECT / "docs" / "ledger.md").read_text("utf-8")
ROLES = ("rees46_owner", "rees46_runs", "rees46_page")


def statements_of(section: str) -> list[list[str]]:
    """The statements of a section of the document, a list for each of its blocks: the owner, the runs, the page."""
    text = DOCUMENT.partition(f"### {section}\n")[2].partition("\n## ")[0].partition("\n### ")[0]
    blocks = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == len(ROLES)
    return [[one.strip() for one in re.sub(r"--.*", "", block).split(";") if one.strip()] for block in blocks]


@dataclass
class Roles:
    """
    A database whose owner has made the tables, and whose other roles have their grants.

    :param execute: runs statements as the administrator.
    :param connection: the Airflow connection of a role.
    """

    execute: Callable[[list[str]], None]
    connection: Callable[[str], str]
    blocks: list[list[str]]


def _of_postgres(home: Path) -> Iterator[Roles]:
    database = "rees46_roles"

    def execute(statements: list[str], where: str = database) -> None:
        engine = sa.create_engine(postgres_uri(home, where), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(sa.text(statement))
        engine.dispose()

    execute([f"CREATE DATABASE {database}"], "postgres")
    yield Roles(
        execute,
        lambda role: postgres_connection(home, database).replace("//postgres@", f"//{role}@"),
        statements_of("PostgreSQL"),
    )
    execute([f"DROP DATABASE {database} WITH (FORCE)", *(f"DROP ROLE {role}" for role in ROLES)], "postgres")


def _of_mariadb(server: MariaDB) -> Iterator[Roles]:
    database = server.create_database()

    def execute(statements: list[str]) -> None:
        server.execute(*(one.replace("rees46.", f"{database}.") for one in statements))

    yield Roles(
        execute, lambda role: server.connection(database, login=role, password="change me"), statements_of("MariaDB")
    )
    server.execute(f"DROP DATABASE {database}", *(f"DROP USER {role}" for role in ROLES))


@pytest.fixture(params=["postgresql", "mariadb"])
def roles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Roles]:
    if request.param == "postgresql":
        made = _of_postgres(request.getfixturevalue("postgres_home"))
    else:
        made = _of_mariadb(request.getfixturevalue("mariadb"))
    for roles in made:
        for role in ROLES:
            monkeypatch.setenv(f"AIRFLOW_CONN_{role.upper()}", roles.connection(role))
        owner, runs, page = roles.blocks
        roles.execute(owner)
        assert upgrade_ledger.main(["rees46_owner"]) == 0
        roles.execute([*runs, *page])
        yield roles


def opened(role: str) -> Ledger:
    return Ledger.of_connection(role)


def go_through(ledger: Ledger) -> None:
    """Do with a ledger what runs do."""
    ledger.create()
    readings = Readings(ledger)
    readings.begin(RUN, NOON, NOON)
    readings.begin(LATER_RUN, NOON, NOON)
    for status in (0, 1):
        accept(ledger, RUN, 0, orders_of(("1", status), ("2", status)))
    assert readings.overtake(LATER_RUN, orders_of(("1", 1))) == 1
    ledger.news(RUN)
    ledger.withdraw_request(open_request(ledger, RUN, orders_of(("1", 1))))
    refused = open_request(ledger, RUN, orders_of(("1", 2)))
    ledger.record_answer(RUN, 0, Answer(refused, 1, "rejected"))
    open_request(ledger, RUN, orders_of(("2", 2), ("4", 2)))
    ledger.note_unanswered("test")
    accept(ledger, RUN, 0, orders_of(("2", 2), ("4", 2)))
    assert ledger.lookup("test", ["1", "2"], RUN.extraction_id)["uncertain"].tolist() == [False, False]
    assert (ledger.mark(), ledger.requests_made(RUN.extraction_id)) > (0, 0)
    ledger.delivered(RUN.extraction_id)
    ledger.quarantine("test", "run-1", [RejectedRow("3", "sent back", "", "status_unmapped")])
    ledger.record_approval(RUN, "asked", "2 orders would change")
    ledger.latest_approval(RUN.dag_id, RUN.run_id)
    for _ in range(2):
        ledger.save_run(**run_record("run-1", **widened(0, 1)))
    assert ledger.covered_until("test", NO_LOOKBACK) is not None
    alerts = Alerts(ledger, "test")
    alerts.record(FIRING, (OPS,), message_of, NOON)
    alerts.record(QUIET, (OPS,), message_of, NOON)
    [(number, _)] = alerts.untold(OPS)
    assert alerts.claim(number, NOON)
    alerts.told(number, NOON)
    readings.end_older("test", NOON)
    readings.end("test", RUN.extraction_id)
    later = datetime.now(UTC) + timedelta(days=1)
    ledger.save_run(**run_record("run-0", **widened(0, 1, read_at=1), finished_at=NOON))
    removed = remove_older(ledger, "test", later)
    assert removed.keys() == {
        "rees46_accepted_statuses", "rees46_deliveries", "rees46_rejected_orders", "rees46_approvals",
        "rees46_alert_messages", "rees46_unanswered_orders", "rees46_sync_runs",
    }  # fmt: skip


@pytest.mark.clock
def test_the_role_of_the_runs_can_do_all_that_runs_do(roles: Roles) -> None:
    ledger = opened("rees46_runs")
    seen: list[str] = []
    sa.event.listen(ledger.engine, "before_cursor_execute", lambda _c, _cursor, statement, *_: seen.append(statement))

    go_through(ledger)

    assert not [one for one in seen if one.lstrip().upper().startswith(("CREATE", "ALTER", "DROP", "COMMENT"))]
    ledger.engine.dispose()


@pytest.mark.clock
def test_the_role_of_the_page_reads_everything_and_writes_nothing(roles: Roles) -> None:
    runs, page = opened("rees46_runs"), opened("rees46_page")
    accept(runs, RUN, 0, orders_of(("1", 1)))
    runs.save_run(**run_record("run-1", **widened(0, 1)))

    with open_reports("rees46_page", "test") as reports:
        assert reports.has_tables()
        assert reports.freshness(NO_LOOKBACK).covered_until is not None
        assert len(reports.order("1").accepted) == 1
        assert len(reports.runs()) == 1
        reports.rejections(), reports.unmapped([]), reports.firing_alerts()
        assert sum(count for _, count in reports.sent_per("hour", 3, datetime.now(UTC))) == 1
    with pytest.raises(LedgerError, match=r"denied.*rees46_open_requests"):
        open_request(page, RUN, orders_of(("1", 2)))
    for ledger in (runs, page):
        ledger.engine.dispose()


def test_a_right_that_is_missing_is_named(roles: Roles) -> None:
    table = "rees46.rees46_deliveries" if "mysql" in roles.connection("x") else "rees46_deliveries"
    roles.execute([f"REVOKE INSERT ON {table} FROM rees46_runs"])
    ledger = opened("rees46_runs")
    request = open_request(ledger, RUN, orders_of(("1", 1)))

    with pytest.raises(LedgerError, match=r"denied.*rees46_deliveries"):
        ledger.record_answer(RUN, 0, Answer(request, 1))

    assert ledger.lookup("test", ["1"]).empty
    ledger.engine.dispose()


def test_a_role_that_may_not_upgrade_says_who_has_to(roles: Roles, capsys: pytest.CaptureFixture[str]) -> None:
    prefix = "rees46." if "mysql" in roles.connection("x") else ""
    roles.execute([f"DELETE FROM {prefix}rees46_schema_versions", f"DROP TABLE {prefix}rees46_retention"])
    ledger = opened("rees46_runs")

    with pytest.raises(LedgerSchemaError, match=r"its schema is version 1, .* may not change .*rees46_sync.ledger "):
        ledger.create()
    assert upgrade_ledger.main(["rees46_runs"]) == 1
    assert "may not change that" in capsys.readouterr().err
    assert upgrade_ledger.main(["rees46_owner"]) == 0
    ledger.create()
    ledger.engine.dispose()
