"""Shops without a file, as the doctor reports them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from rees46_sync.doctor.__main__ import main
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.shop_names import retire
from tests.conftest import ShopUnderTest

from .conftest import command_line, save_run

pytestmark = pytest.mark.usefixtures("metadata_database", "clean_environment")


@pytest.fixture
def with_run(healthy: ShopUnderTest) -> ShopUnderTest:
    """A healthy shop with a run, in a file that is not changed by reading it."""
    store = Ledger.open("shop_ledger")
    save_run(store, "hourly", datetime.now(UTC) - timedelta(hours=2))
    store.engine.dispose()
    return healthy


@pytest.mark.clock
def test_a_shop_without_a_file_is_a_warning_until_it_is_taken_out(
    with_run: ShopUnderTest, capfd: pytest.CaptureFixture[str]
) -> None:
    with_run.configure(shop="renamed")
    content = with_run.ledger_file.read_bytes()

    assert main(command_line(with_run, "--json")) == 0
    found = json.loads(capfd.readouterr().out)["shops"]
    assert [(one["shop"], one["level"]) for one in found] == [("renamed", "ok"), ("test", "warning")]
    [finding] = found[1]["findings"]
    assert finding["check"] == "shop.vanished"
    assert "make rename-shop FROM=test TO=" in finding["remedy"]
    assert "make retire-shop SHOP=test" in finding["remedy"]
    assert finding["data"]["ledger_conn_id"] == "shop_ledger"
    assert with_run.ledger_file.read_bytes() == content

    retire(Ledger.from_conn_id("shop_ledger"), "test")

    main(command_line(with_run, "--json"))
    assert [one["shop"] for one in json.loads(capfd.readouterr().out)["shops"]] == ["renamed"]


@pytest.mark.clock
def test_with_a_shop_named_the_others_are_not_searched_for(
    with_run: ShopUnderTest, capfd: pytest.CaptureFixture[str]
) -> None:
    with_run.configure(shop="renamed")

    main(command_line(with_run, "renamed", "--json"))

    assert [one["shop"] for one in json.loads(capfd.readouterr().out)["shops"]] == ["renamed"]


def test_a_file_that_is_no_ledger_is_neither_changed_nor_made(
    healthy: ShopUnderTest, capfd: pytest.CaptureFixture[str]
) -> None:
    main(command_line(healthy, "--json"))
    assert not healthy.ledger_file.exists()
    with closing(sqlite3.connect(healthy.ledger_file)) as db, db:
        db.execute("CREATE TABLE another_application (id)")
    content = healthy.ledger_file.read_bytes()

    main(command_line(healthy, "--json"))

    assert healthy.ledger_file.read_bytes() == content


def test_of_two_files_of_one_shop_the_doctor_says_which_is_in_force(
    healthy: ShopUnderTest, capfd: pytest.CaptureFixture[str]
) -> None:
    (healthy.shops / "zz.yaml").write_text((healthy.shops / "test.yaml").read_text())

    assert main(command_line(healthy, "test")) == 1
    assert "shop is 'test', as in test.yaml, which is in force" in capfd.readouterr().out
