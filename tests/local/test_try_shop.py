"""`make try`: a shop's run against a sandbox of its own, in processes of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.try_shop import LEDGER, REES46, WAREHOUSE, shop_file
from rees46_sync.shop.mapping_lines import mapping_lines
from rees46_sync.shop.shop_file import load_shop
from tests.conftest import PROJECT, ShopUnderTest

WIDE = {"COLUMNS": "110"}


def try_shop(shop: str, env_file: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local.try_shop", shop, "--env-file", str(env_file), *options]
    return subprocess.run(command, cwd=PROJECT, env=os.environ | WIDE, capture_output=True, text=True, timeout=280)


def received(shown: str) -> dict[str, int]:
    """The lines of the table of what the sandbox received."""
    table = shown.partition("Received by the sandbox:\n")[2]
    return {name: int(count) for name, count in re.findall(r"^  (\S.*?) +(\d+)$", table, re.MULTILINE)}


@pytest.mark.clock
def test_the_sandbox_receives_the_window_and_the_shops_own_rees46_and_ledger_nothing(
    shop: ShopUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = timedelta(days=1)
    now = datetime.now(UTC).replace(microsecond=0, tzinfo=None)
    shop.add_rows([("1", "paid", now - 3 * day), ("2", "delivered", now - 3 * day), ("3", "fraud", now - 4 * day)])
    shop.add_rows([("too old", "paid", now - 9 * day), ("too new", "paid", now - day)])
    # If the run took its REES46 or its ledger from elsewhere, it would fail.
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_LEDGER", "sqlite:////nowhere/at/all/ledger.db")
    env_file = tmp_path / ".env"
    env_file.write_text(f"AIRFLOW_CONN_SHOP_WAREHOUSE='{os.environ['AIRFLOW_CONN_SHOP_WAREHOUSE']}'\n")
    monkeypatch.delenv("AIRFLOW_CONN_SHOP_WAREHOUSE")

    done = try_shop("test", env_file, "--from", str(now - 5 * day), "--to", f"{now - 2 * day}+00:00")

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"3 │ sent ", done.stdout)
    assert received(done.stdout) == {
        "requests": 1, "orders created": 1, "orders completed": 1, "orders cancelled": 1, "invalid requests": 0,
    }  # fmt: skip
    assert shop.sandbox.stats()["requests"] == 0
    assert not shop.ledger_file.exists()


@pytest.mark.clock
def test_a_run_that_fails_says_why_and_where_the_log_is(shop: ShopUnderTest, tmp_path: Path) -> None:
    shop.configure(limits={"rejected_share": 0})
    full_hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0, tzinfo=None)
    shop.add_rows([("1", "teleported", full_hour - timedelta(minutes=30))])

    done = try_shop("test", tmp_path / "none.env")

    assert done.returncode == 1
    assert "limit rejected_share" in done.stdout
    assert set(received(done.stdout).values()) == {0}
    [log] = re.findall(r"The run failed; Airflow's log: (.+)$", done.stderr.rstrip(), re.MULTILINE)
    assert "order_status_sync_test" in Path(log).read_text()
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "options", "code", "said"),
    [
        pytest.param("nonsense", [], 2, "There is no shop 'nonsense'", id="no-such-shop"),
        pytest.param("test", ["--to", "2026-03-01"], 2, "name its start as well", id="no-start"),
        pytest.param("test", ["--from", "yesterday"], 2, "'yesterday' is not a date and time", id="no-time"),
        pytest.param("test", [], 1, "Connection shop_warehouse: does not exist; create it", id="no-warehouse"),
    ],
)
def test_what_cannot_be_tried_is_said_without_a_run(
    shop: ShopUnderTest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    options: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_SHOP_WAREHOUSE")

    done = try_shop(name, tmp_path / "none.env", *options)

    assert (done.returncode, done.stdout) == (code, "")
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


OUTWARD: dict[str, Any] = {
    "notify": [{"email": ["ops@example.com"]}],
    "feed_asset": "s3://bucket/feed.csv",
    "staging": "s3://conn@bucket/folder",
    "on_limit": "ask",
}
INWARD: dict[str, Any] = {
    "statuses": {"created": ["007", "no"], "completed": ["доставлен"], "cancelled": []},
    "limits": {"changed_orders": 5},
    "lookback": "36h",
    "keep_days": None,
}


@pytest.mark.parametrize("flow_style", [True, False])
def test_the_run_has_the_shop_as_it_is_without_what_leads_to_the_outside(shop: ShopUnderTest, flow_style: bool) -> None:
    (shop.shops / "until.sql").write_text("SELECT max(updated_at) FROM orders")
    keys = yaml.safe_load(shop.configure().file.read_text()) | INWARD | OUTWARD | {"loaded_until": "until.sql"}
    file = shop.shops / "test.yaml"
    file.write_text("# the shop\n" + yaml.safe_dump(keys, default_flow_style=flow_style, allow_unicode=True).rstrip())
    own = load_shop(file)
    copy = shop.folder / "copy.yaml"

    copy.write_text(shop_file(own))

    connections = {"warehouse_conn_id": WAREHOUSE, "ledger_conn_id": LEDGER, "rees46_conn_id": REES46}
    closed = {"notify": (), "feed_asset": None, "staging": None, "on_limit": "fail"}
    assert load_shop(copy).model_dump() == own.model_dump() | connections | closed


@pytest.mark.parametrize("indent", ["", "  ", "      "])
def test_the_lines_to_add_have_the_blanks_that_they_need_in_the_shops_own_file(
    shop: ShopUnderTest, indent: str
) -> None:
    file = shop.configure().file
    keys = yaml.safe_load(file.read_text())
    del keys["statuses"]
    lists = "".join(f"  {name}:\n  {indent}- {name}  # one\n" for name in ("created", "completed", "cancelled"))
    file.write_text(f"{yaml.safe_dump(keys)}statuses:\n{lists}notify:\n- slack: a\n")
    own = load_shop(file)
    copy = shop.folder / "test.yaml"

    copy.write_text(shop_file(own))

    assert mapping_lines(load_shop(copy), ["paid"]) == mapping_lines(own, ["paid"])
    assert f"  {indent}- created  # one\n" in copy.read_text()
