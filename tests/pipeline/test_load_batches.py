"""The task that loads a partition, with a real connection, a real ledger and a real REES46."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from upath import UPath

from rees46_sync.airflow_adapters import staging
from rees46_sync.exceptions import RestartRunError
from rees46_sync.pipeline.load_batches import Rees46SyncOrdersOperator
from tests.conftest import ShopUnderTest, rees46_connection
from tests.pipeline.steps import OLD_PARTITION, WRITTEN_BY_AN_EARLIER_VERSION, task_context
from tests.whole_run import EIGHT

ORDERS = pd.DataFrame(
    {
        "order_id": ["1", "2"],
        "status": ["paid", "delivered"],
        "code": [0, 1],
        "updated_at": pd.Series([EIGHT, EIGHT], dtype="datetime64[us, UTC]"),
    }
)


def execute(batches: dict[str, Any]) -> dict[str, Any]:
    operator = Rees46SyncOrdersOperator(
        task_id="load_batches",
        shop="test",
        rees46_conn_id="shop_rees46",
        ledger_conn_id="shop_ledger",
        settle=timedelta(hours=1),
        batches=batches,
    )
    context: Any = task_context()
    return operator.execute(context)


def load(shop: ShopUnderTest, orders: pd.DataFrame) -> dict[str, Any]:
    """Stage a partition as ``build_batches`` does, and load it."""
    path = UPath(shop.folder / "staging" / "batches-0000.parquet")
    staging.write(pa.Table.from_pandas(orders, preserve_index=False), path)
    extraction = {
        "extraction_id": "20260301T080000-0a1b2c3d",
        "window_end": EIGHT.isoformat(),
        "resend": False,
        "is_resend": False,
    }
    batches = {"index": 0, "extraction": extraction, "path": f"file://{path}", "orders": len(orders)}
    return execute(batches | {"comparison_token": {}})


OWN, MAPPED = {"dialect": "sync_orders"}, {"dialect": "sync_orders", "status_text": "mapped"}
WITHOUT_STATUS = ORDERS.drop(columns="status")


@pytest.mark.parametrize(
    ("extra", "staged", "sent"),
    [
        pytest.param({}, ORDERS, {"1": 0, "2": 1}, id="import_sync_orders"),
        pytest.param({}, WITHOUT_STATUS, {"1": 0, "2": 1}, id="import_sync_orders-older-file"),
        pytest.param(OWN, ORDERS, {"1": "paid", "2": "delivered"}, id="own"),
        pytest.param(MAPPED, ORDERS, {"1": "created", "2": "completed"}, id="mapped"),
        pytest.param(MAPPED, WITHOUT_STATUS, {"1": "created", "2": "completed"}, id="mapped-older-file"),
    ],
)
def test_staged_orders_are_sent_as_the_connection_is_now(
    shop: ShopUnderTest, extra: dict[str, str], staged: pd.DataFrame, sent: dict[str, object]
) -> None:
    shop.connect("shop_rees46", rees46_connection(shop.sandbox, **extra))

    assert load(shop, staged)["sent"] == 2
    assert shop.sandbox.state() == sent


def test_orders_that_an_older_version_staged_without_the_shops_text_say_to_clear_the_run(
    shop: ShopUnderTest,
) -> None:
    shop.connect("shop_rees46", rees46_connection(shop.sandbox, **OWN))

    with pytest.raises(RestartRunError, match=r"has no column status .* clear this run from extract_orders"):
        load(shop, WITHOUT_STATUS)

    assert shop.sandbox.requests() == []


def test_batches_of_an_earlier_version_are_not_sent_but_say_to_clear_the_run(shop: ShopUnderTest) -> None:
    with pytest.raises(RestartRunError, match=f"partition 0 {WRITTEN_BY_AN_EARLIER_VERSION}"):
        execute(dict(OLD_PARTITION))

    assert shop.sandbox.requests() == []
