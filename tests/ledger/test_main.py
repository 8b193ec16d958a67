"""The commands of the ledger about shops, with whole runs before and after."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from rees46_sync.ledger.__main__ import main
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.shop_names import shops_without_file
from tests.conftest import ShopUnderTest
from tests.whole_run import EIGHT, IN_WINDOW, run_dag


def rename_file(shop: ShopUnderTest, name: str) -> Path:
    """Give the shop another name in its file, as a user does; return the file."""
    file = shop.shops / "test.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"shop": name}))
    return file


def without_file(*with_file: str) -> list[str]:
    ledger = Ledger.from_conn_id("shop_ledger")
    names = list(shops_without_file(ledger, with_file))
    ledger.engine.dispose()
    return names


def test_the_first_run_of_a_renamed_shop_continues_and_sends_nothing_twice(
    shop: ShopUnderTest, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.configure(lookback="3h")
    outage = EIGHT + timedelta(days=2)
    shop.add_rows([("1", "new", IN_WINDOW), ("2", "delivered", IN_WINDOW), ("3", "odd", IN_WINDOW)])
    assert run_dag().account["sent"] == 2
    shop.add_rows([("4", "paid", IN_WINDOW + timedelta(hours=3))])
    rename_file(shop, "renamed")

    assert main(["--rename", "test", "renamed"]) == 0

    assert "shop test is renamed now." in capsys.readouterr().out
    run = run_dag("order_status_sync_renamed", logical_date=outage)
    assert run.state == "success"
    assert {part: run.account[part] for part in ("read", "sent", "unchanged", "rejected")} == {
        "read": 4,
        "sent": 1,
        "unchanged": 2,
        "rejected": 1,
    }
    assert shop.sandbox.state() == {"1": 0, "2": 1, "4": 0}
    assert shop.ledger_rows("SELECT shop, dag_id, count(*) FROM rees46_sync_runs GROUP BY 1, 2") == [
        ("renamed", "order_status_sync_renamed", 2)
    ]
    assert shop.ledger_rows("SELECT order_id FROM rees46_rejected_orders") == [("3",)]
    assert without_file("renamed") == []


def test_a_shop_that_still_has_a_file_is_neither_renamed_nor_taken_out(
    shop: ShopUnderTest, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.add_rows([("1", "new", IN_WINDOW)])
    run_dag()

    for command in (["--rename", "test", "renamed"], ["--retire", "test"]):
        assert main(command) == 1
        assert "Shop file test.yaml is the file of shop 'test'; nothing was changed" in capsys.readouterr().err

    assert without_file() == ["test"]


def test_a_shop_is_taken_out_by_moving_its_file_away_and_saying_so(
    shop: ShopUnderTest, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.add_rows([("1", "new", IN_WINDOW)])
    run_dag()
    rename_file(shop, "another")

    assert main(["--retire", "test"]) == 0

    assert "shop test is taken out; its rows stay." in capsys.readouterr().out
    assert without_file("another") == []
    assert shop.ledger_rows("SELECT count(*) FROM rees46_accepted_statuses WHERE shop = 'test'") == [(1,)]


@pytest.mark.parametrize(
    ("conn_ids", "said"),
    [
        pytest.param((), "The shop files name no connection as ledger_conn_id", id="no-file"),
        pytest.param(("shop_ledger", "ledger_b"), "name ledger_b, shop_ledger as ledger_conn_id", id="two-ledgers"),
    ],
)
def test_the_connection_of_the_ledger_has_to_be_named_if_the_shop_files_do_not_say_which(
    shop: ShopUnderTest, capsys: pytest.CaptureFixture[str], conn_ids: tuple[str, ...], said: str
) -> None:
    content = yaml.safe_load((shop.shops / "test.yaml").read_text())
    (shop.shops / "test.yaml").unlink()
    for number, conn_id in enumerate(conn_ids):
        file = shop.shops / f"{number}.yaml"
        file.write_text(yaml.safe_dump(content | {"shop": f"shop_{number}", "ledger_conn_id": conn_id}))
    Ledger.open("shop_ledger").engine.dispose()

    assert main(["--retire", "gone"]) == 1
    shown = capsys.readouterr().err
    assert said in shown
    assert "LEDGER=<connection>" in shown
    assert main(["shop_ledger", "--retire", "gone"]) == 1
    assert "no rows of shop 'gone'" in capsys.readouterr().err


def test_without_a_command_a_connection_has_to_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 1
    assert "name that of the ledger's database" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong", [["--rename", "a"], ["--rename", "a", "B c"], ["--rename", "a", "b", "--retire", "c"]]
)
def test_a_wrong_command_line_ends_with_2(capsys: pytest.CaptureFixture[str], wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(wrong)

    assert ended.value.code == 2
