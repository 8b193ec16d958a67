"""A step by itself, where a whole run cannot show what happens in the middle of it."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from upath import UPath

from rees46_sync.airflow_adapters import staging
from rees46_sync.ledger.confirmations import Readings
from rees46_sync.ledger.database import Ledger, RunRef
from rees46_sync.pipeline import tasks
from rees46_sync.pipeline.load_batches import Rees46SyncOrdersOperator
from rees46_sync.rees46.hook import Rees46Hook
from tests.conftest import ShopUnderTest, accept
from tests.whole_run import EIGHT

RUN = RunRef(shop="test", dag_id="dag", run_id="run", extraction_id="reading-1")
OTHER_RUN = RunRef(shop="test", dag_id="dag", run_id="other-run", extraction_id="reading-2")
AT = EIGHT - timedelta(minutes=30)


def rows(*orders: tuple[str, str], **codes: int) -> pd.DataFrame:
    frame = pd.DataFrame(orders, columns=["order_id", "status"])
    return frame.assign(updated_at=pd.Series([AT] * len(orders), dtype="datetime64[us, UTC]"), **codes)


def test_a_try_that_was_taken_for_dead_and_wakes_up_changes_nothing_for_the_one_after_it(
    shop: ShopUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.configure()
    ledger = Ledger.of_connection("shop_ledger")
    ledger.create()
    Readings(ledger).begin(RUN, AT, AT - timedelta(hours=1))
    folder = UPath(shop.folder / "staging")
    staging.write(pa.Table.from_pandas(rows(("1", "new"), ("2", "new"))), folder / "valid-0000.parquet")
    reading = {
        "extraction_id": RUN.extraction_id,
        "folder": str(folder),
        "mark": ledger.mark(),
        "resend": False,
        "window_end": EIGHT.isoformat(),
    }
    judged = {"index": 0, "reading": reading, "path": str(folder / "valid-0000.parquet")}
    ti = SimpleNamespace(map_index=0, dag_id="dag", run_id="run", xcom_pull=lambda **_: judged)
    context: dict[str, Any] = {"ti": ti, "params": {"dry_run": False}}
    built: list[tasks.Batches] = []
    stage = tasks._stage

    def build() -> None:
        partition: Any = {"index": 0, "name": "0", "reading": reading}
        built.append(tasks.build_batches(str(shop.shops / "test.yaml"), partition, **context))

    def stall(frame: Any, reading: Any, name: str) -> UPath:
        # The first try has compared. Another run sends a newer status of order 1, and the next try begins and ends.
        monkeypatch.setattr(tasks, "_stage", stage)
        Rees46Hook("shop_rees46").send([("1", 1)])
        accept(ledger, OTHER_RUN, 0, rows(("1", "delivered"), code=1).assign(updated_at=AT + timedelta(minutes=5)))
        build()
        return stage(frame, reading, name)

    monkeypatch.setattr(tasks, "_stage", stall)
    build()
    second, first = built
    assert (first["orders"], second["orders"], second["stale"]) == (2, 1, 1)

    load = Rees46SyncOrdersOperator(
        task_id="load_batches",
        shop="test",
        rees46_conn_id="shop_rees46",
        ledger_conn_id="shop_ledger",
        batches=dict(second),
    )
    of_load: Any = {"ti": SimpleNamespace(dag_id="dag", run_id="run", xcom_push=lambda **_: None)}
    assert load.execute(of_load)["sent"] == 1
    assert shop.sandbox.state() == {"1": 1, "2": 0}
    assert shop.sandbox.stats()["orders"] == 2
