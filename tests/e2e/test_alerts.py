"""
Every alert fires once and recovers once: on a real scheduler, with a real mail server and a real webhook.

There are two shops: "calm", whose runs are started by hand, one after another; and "busy", which runs every minute,
because only scheduled runs are compared with the same time of past weeks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml

from rees46_sync.ledger.database import Ledger
from rees46_sync.sandbox import server as sandbox_module
from tests.conftest import PROJECT, QUERY, SECRET, postgres_folder, rees46_connection
from tests.monitoring.builders import save_run
from tests.receivers import Mailbox, Webhook, mail_server, webhook_server

from .airflow_stack import AirflowStack, postgres_connection, running_airflow
from .conftest import LOCAL_SETTINGS, RUN_TIMEOUT_S, rewrite, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.crash, pytest.mark.timeout(3600)]

CALM, BUSY, FRESHNESS = "order_status_sync_calm", "order_status_sync_busy", "order_status_freshness"
FRESH_S = 90
USUAL = 200
SHOPS = {
    "calm": {
        # Once a year: no scheduled run interferes.
        "schedule": "0 0 1 1 *",
        "freshness": f"{FRESH_S}s",
        "notify": [{"email": ["ops@example.com"]}, {"webhook": "/calm"}],
    },
    "busy": {"schedule": "* * * * *", "notify": [{"webhook": "/busy", "events": ["volume"]}]},
}


@dataclass
class Stage:
    """Both shops on a running Airflow, with their servers."""

    airflow: AirflowStack
    sandbox: sandbox_module.Sandbox
    mailbox: Mailbox
    webhook: Webhook
    folder: Path
    ledger: Ledger
    rows: int = 0

    def lay(self, shop: str, **statuses: int) -> None:
        """Replace a shop's orders by new ones: a number of each status."""
        at = f"{datetime.now(UTC) - timedelta(seconds=1):%Y-%m-%d %H:%M:%S}"
        with closing(sqlite3.connect(self.folder / f"{shop}.db", timeout=60)) as db, db:
            db.execute("DELETE FROM orders")
            for status, count in statuses.items():
                db.executemany(
                    "INSERT INTO orders VALUES (?, ?, ?)",
                    [(f"{shop}-{self.rows + n}", status, at) for n in range(count)],
                )
                self.rows += count

    def run(self, dag_id: str = CALM) -> str:
        """Start a run by hand; return the state in which it ends."""
        return self.airflow.wait_for_run(dag_id, self.airflow.trigger(dag_id), RUN_TIMEOUT_S)

    def posted(self, shop: str) -> list[str]:
        """The subjects of the messages that a shop's webhook received."""
        return [content["subject"] for path, content in self.webhook.posts if path == f"/{shop}"]


@contextmanager
def two_shops(folder: Path) -> Iterator[Stage]:
    home, shops = folder / "home", folder / "shops"
    shops.mkdir()
    (home / "config").mkdir(parents=True)
    (home / "config" / "airflow_local_settings.py").write_text(LOCAL_SETTINGS)
    (shops / "orders.sql").write_text(QUERY)
    env = {"REES46_SHOPS_DIR": str(shops), "AIRFLOW_CONN_LEDGER": postgres_connection(home, "ledger")}
    for name, keys in SHOPS.items():
        with closing(sqlite3.connect(folder / f"{name}.db")) as db, db:
            db.execute("CREATE TABLE orders (order_id TEXT, status TEXT, updated_at TEXT)")
        env[f"AIRFLOW_CONN_{name.upper()}"] = f"sqlite:///{folder}/{name}.db?timeout=60"
        shop_file = {
            "shop": name,
            "warehouse_conn_id": name,
            "rees46_conn_id": "rees46",
            "ledger_conn_id": "ledger",
            "query": "orders.sql",
            "statuses": {"created": ["new"], "completed": ["delivered"], "cancelled": ["cancelled"]},
            "staging": f"file://{folder}/staging",
        }
        (shops / f"{name}.yaml").write_text(yaml.safe_dump(shop_file | keys))
    with ExitStack() as stack:
        sandbox = stack.enter_context(sandbox_module.running("live-key", SECRET))
        mailbox, webhook = stack.enter_context(mail_server()), stack.enter_context(webhook_server())
        env |= {
            "AIRFLOW_CONN_REES46": rees46_connection(sandbox),
            "AIRFLOW_CONN_SMTP_DEFAULT": mailbox.connection,
            "AIRFLOW_CONN_HTTP_DEFAULT": webhook.connection,
        }
        airflow = stack.enter_context(running_airflow(home, PROJECT / "dags", PROJECT / "plugins", env))
        engine = sa.create_engine(airflow.create_database("ledger"), poolclass=sa.NullPool)
        ledger = Ledger(engine)
        ledger.migrate()
        yield Stage(airflow, sandbox, mailbox, webhook, folder, ledger)


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with postgres_folder() as folder, two_shops(folder) as stage:
        yield stage


def seed_volume(ledger: Ledger) -> None:
    """Record five weeks in which every minute around this one had the usual number of changes."""
    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    for week in range(1, 6):
        for minutes in range(-3, 120):
            end = minute + timedelta(minutes=minutes, weeks=-week)
            times = {"window_start": end - timedelta(days=1), "window_end": end, "started_at": end, "finished_at": end}
            save_run(ledger, f"{end}", shop="busy", dag_id=BUSY, read=USUAL, sent=USUAL, **times)


def test_every_alert_fires_once_and_recovers_once(stage: Stage) -> None:
    airflow = stage.airflow
    for dag_id in (CALM, BUSY, FRESHNESS):
        airflow.wait_for_dag(dag_id)
    seed_volume(stage.ledger)
    for dag_id in (BUSY, CALM):
        airflow.unpause(dag_id)
    [first] = wait_until("the first run, of the latest year", lambda: airflow.runs(CALM))
    assert airflow.wait_for_run(CALM, first["dag_run_id"], RUN_TIMEOUT_S) == "success"
    stage.lay("calm", new=10)
    assert stage.run() == "success"
    good = datetime.now(UTC)
    assert stage.posted("calm") == []

    # Two runs fail; then a limit stops one.
    stage.sandbox.reset(fault="403@1")
    stage.lay("calm", new=10)
    assert [stage.run(), stage.run()] == ["failed", "failed"]
    assert stage.posted("calm") == ["[fired] calm: a run failed"]
    notes = [run["note"] or "" for run in airflow.runs(CALM) if run["state"] == "failed"]
    assert len(notes) == 2
    assert all(note.startswith("REES46: Shop calm: load_batches of partition 0 could not send ") for note in notes)
    assert all("answered 403" in note and "check login" in note for note in notes)
    stage.sandbox.reset()
    stage.lay("calm", new=10, lost=30)
    assert stage.run() == "failed"
    assert stage.posted("calm")[1:] == [
        "[fired] calm: a limit stopped the run",
        "[fired] calm: many rows are rejected",
    ]

    # The busy shop sent nothing meanwhile, unlike in past weeks.
    wait_until("volume far off", lambda: stage.posted("busy"))
    stage.lay("busy", new=USUAL)

    # No success for too long.
    airflow.unpause(FRESHNESS)
    wait_until("breached freshness", lambda: datetime.now(UTC) - good > timedelta(seconds=FRESH_S))
    assert [stage.run(FRESHNESS), stage.run(FRESHNESS)] == ["failed", "failed"]
    assert stage.posted("calm")[3:] == ["[fired] calm: REES46 is not up to date"]

    # One successful run ends all alerts.
    stage.lay("calm", new=10)
    assert stage.run() == "success"
    rewrite(stage.folder / "shops" / "calm.yaml", freshness="1h")  # however long the run took
    stage.run(FRESHNESS)
    assert stage.posted("calm")[4:] == [
        "[recovered] calm: a limit stopped the run",
        "[recovered] calm: a run failed",
        "[recovered] calm: many rows are rejected",
        "[recovered] calm: REES46 is not up to date",
    ]
    wait_until("volume as usual", lambda: len(stage.posted("busy")) > 1)
    assert stage.posted("busy")[:2] == [
        "[fired] busy: an unusual number of changes",
        "[recovered] busy: an unusual number of changes",
    ]
    assert stage.mailbox.subjects == stage.posted("calm")
    [run_failed, *_] = [content for path, content in stage.webhook.posts if path == "/calm"]
    assert run_failed["url"].startswith(f"{airflow.url}/dags/{CALM}/runs/manual__")
