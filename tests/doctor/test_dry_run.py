"""``make dry-run``, as a process of its own."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.conftest import HOME, SECRET, ShopUnderTest
from tests.e2e.airflow_stack import postgres_connection
from tests.whole_run import make_metadata_database, run_dag

pytestmark = pytest.mark.clock

LOG = HOME / "logs" / "dry-run-test.log"


def dry_run(shop: str, env_file: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rees46_sync.doctor.dry_run", shop, "--env-file", str(env_file), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


def test_it_reads_env_without_interpolation_and_sends_nothing(
    shop: ShopUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_metadata_database()
    # An hourly run reads up to the last full hour.
    full_hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0, tzinfo=None)
    in_window = full_hour - timedelta(minutes=30)
    shop.add_rows([("1", "paid", in_window), ("2", "delivered", in_window)])
    literal = shop.warehouse.rename(tmp_path / "ware${HOME}house.db")
    monkeypatch.delenv("AIRFLOW_CONN_SHOP_WAREHOUSE")
    env_file = tmp_path / ".env"
    env_file.write_text(
        f"AIRFLOW_CONN_SHOP_WAREHOUSE='{json.dumps({'conn_type': 'sqlite', 'host': str(literal)})}'\n"
        "AIRFLOW_CONN_SHOP_LEDGER='sqlite:////the/environment/comes/first.db'\n"
    )

    done = dry_run("test", env_file)

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert re.search(r"\b2\b.* would be sent", done.stdout)
    assert shop.sandbox.stats()["requests"] == 0
    assert done.stdout.startswith("Account of test, window")
    assert "rees46_sync" not in done.stdout, "lines of Airflow's log"
    assert LOG.stat().st_mode & 0o777 == 0o600


def test_airflows_log_has_no_password_although_the_environment_asks_for_every_line(
    shop: ShopUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_home: Path
) -> None:
    make_metadata_database()
    monkeypatch.setenv("AIRFLOW__LOGGING__LOGGING_LEVEL", "DEBUG")
    monkeypatch.setenv("AIRFLOW__LOGGING__NAMESPACE_LEVELS", "airflow=DEBUG supervisor=DEBUG root=DEBUG")
    ledger = postgres_connection(postgres_home, "postgres")
    shop.connect("shop_ledger", ledger.replace("postgres@", f"postgres:{quote('gëheim/9f3b7c', safe='')}@", 1))

    done = dry_run("test", tmp_path / ".env")

    text = done.stdout + done.stderr + LOG.read_text()
    assert done.returncode == 0, text[-3000:]
    assert "[DAG TEST] starting task_id=extract_orders" in text
    assert [secret for secret in ("gëheim/9f3b7c", quote("gëheim/9f3b7c"), SECRET) if secret in text] == []


def test_a_window_is_read_and_the_account_fits_a_narrow_terminal(
    shop: ShopUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_metadata_database()
    shop.add_rows([(str(day), "paid", datetime(2026, 3, day)) for day in range(1, 10)])  # noqa: DTZ001
    monkeypatch.setenv("COLUMNS", "60")

    done = dry_run("test", tmp_path / "none.env", "--from", "2026-03-02", "--to", "2026-03-05T00:00:00")

    assert done.returncode == 0, done.stdout + done.stderr
    table = [line for line in done.stdout.splitlines() if line.startswith(("│", "┌", "├", "└"))]
    assert re.search(r"\b3\b.* would be sent", table[3])
    assert max(map(len, table)) <= 60


def test_a_failed_dry_run_says_why_and_names_the_file_of_airflows_log(shop: ShopUnderTest, tmp_path: Path) -> None:
    make_metadata_database()
    shop.add_rows([])

    done = dry_run("test", tmp_path / "none.env", "--from", "2026-03-05", "--to", "2026-03-01")

    assert done.returncode == 1
    assert "is not before window_end" in done.stdout
    assert f"The dry run failed; Airflow's log: {LOG}" in done.stderr
    assert "extract_orders" in LOG.read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(["--to", "2026-03-01"], "name its start as well", id="end-alone"),
        pytest.param(["--from", "yesterday"], "'yesterday' is not a date and time: write 2026-01-31", id="no-date"),
        pytest.param(["--from", "2026-03-01", "--remap"], "not allowed with argument", id="window-of-remap"),
    ],
)
def test_a_window_that_cannot_be_meant_is_refused_before_anything_starts(
    tmp_path: Path, options: list[str], message: str
) -> None:
    done = dry_run("test", tmp_path / "none.env", *options)
    assert done.returncode == 2
    assert message in done.stderr


@contextmanager
def ledger_connection_stored_in_airflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the ledger's connection in Airflow's metadata database alone meanwhile."""
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session

    uri = os.environ["AIRFLOW_CONN_SHOP_LEDGER"]
    with create_session() as session:
        session.add(Connection(conn_id="shop_ledger", uri=uri))
    monkeypatch.delenv("AIRFLOW_CONN_SHOP_LEDGER")
    yield
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_LEDGER", uri)
    with create_session() as session:
        session.query(Connection).filter_by(conn_id="shop_ledger").delete()


def test_a_ledger_that_does_not_answer_is_said_without_a_traceback(
    shop: ShopUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_LEDGER", "sqlite:////nowhere/at/all/ledger.db")
    done = dry_run("test", tmp_path / "none.env", "--remap")
    assert done.returncode == 1
    assert "Ledger sqlite" in done.stderr
    assert "check the database of ledger_conn_id" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_corrected_mapping_is_shown_and_the_printed_command_sends_it(
    shop: ShopUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = {"created": ["new"], "completed": ["delivered", "packed"], "cancelled": ["cancelled"]}
    shop.configure(statuses=wrong)
    long_ago = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=9)
    shop.add_rows([("1", "packed", long_ago), ("2", "delivered", long_ago)])
    run_dag(window_start=str(long_ago - timedelta(days=1)), logical_date=None)
    right = wrong | {"created": ["new", "packed"], "completed": ["delivered"]}
    shop.configure(statuses=right, limits={"changed_orders": 0})
    before = shop.sandbox.stats()["requests"]

    with ledger_connection_stored_in_airflow(monkeypatch):
        done = dry_run("test", tmp_path / "none.env", "--remap")

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "The mapping was corrected: 'packed' was completed and is now created" in done.stdout
    assert re.search(r"\b1\b.* would be sent", done.stdout)
    assert shop.sandbox.stats()["requests"] == before
    *command, conf = shlex.split(done.stdout.splitlines()[-1])
    assert command == ["airflow", "dags", "trigger", "order_status_sync_test", "--conf"]
    shop.add_rows([("3", "packed", long_ago)])
    assert run_dag(**json.loads(conf), logical_date=None).state == "failed", "more would be sent than was shown"
    assert shop.sandbox.state() == {"1": 1, "2": 1}
    shop.clear_rows()
    shop.add_rows([("1", "packed", long_ago), ("2", "delivered", long_ago)])
    run_dag(**json.loads(conf), logical_date=None)
    assert shop.sandbox.state() == {"1": 0, "2": 1}
    assert (
        "Everything that was sent is as the shop file maps it" in dry_run("test", tmp_path / "none", "--remap").stdout
    )


def test_an_unknown_shop_ends_with_2_and_the_names_of_the_known_ones(shop: ShopUnderTest, tmp_path: Path) -> None:
    (shop.shops / "broken.yaml").write_text("shop: broken\n")

    done = dry_run("nonsense", tmp_path / "none.env")

    assert done.returncode == 2
    assert f"There is no shop 'nonsense' in {shop.shops} that can be used; its shops: test." in done.stderr
    assert "broken.yaml" in done.stderr
    assert done.stdout == ""
