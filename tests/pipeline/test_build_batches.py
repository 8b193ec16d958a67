"""The task that subtracts what REES46 has: confirmations, requests left in flight, and attempts that overlap."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
import sqlalchemy as sa
from upath import UPath

from rees46_sync.airflow_adapters import staging
from rees46_sync.exceptions import RestartRunError
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.extractions import Extractions
from rees46_sync.ledger.lookup import look_up
from rees46_sync.ledger.runs import RunRef
from rees46_sync.pipeline import build_batches as build_module
from rees46_sync.pipeline.build_batches import build_batches
from rees46_sync.pipeline.load_batches import Rees46SyncOrdersOperator
from rees46_sync.pipeline.run import BuiltBatches, stage_frame
from rees46_sync.rees46.hook import Rees46Hook
from tests.conftest import ShopUnderTest, accept, open_request, start_extraction
from tests.pipeline.steps import OLD_PARTITION, WRITTEN_BY_AN_EARLIER_VERSION, task_context
from tests.whole_run import EIGHT, IN_WINDOW, run_dag

RUN = RunRef(shop="test", dag_id="order_status_sync_test", run_id="run", extraction_id="extraction-1")
OTHER_RUN = RunRef(shop="test", dag_id="dag", run_id="other-run", extraction_id="extraction-2")
AT = EIGHT - timedelta(minutes=30)


def rows(*orders: tuple[str, str], **codes: int) -> pd.DataFrame:
    frame = pd.DataFrame(orders, columns=["order_id", "status"])
    return frame.assign(updated_at=pd.Series([AT] * len(orders), dtype="datetime64[us, UTC]"), **codes)


def open_older_extraction() -> RunRef:
    """Let another run have read the warehouse a moment ago; it has not loaded yet."""
    run = RunRef("test", "order_status_history_test", "older-run", "older-extraction")
    start_extraction(Ledger.from_conn_id("shop_ledger"), run, EIGHT - timedelta(days=1), EIGHT)
    return run


@pytest.mark.clock
def test_a_run_that_has_nothing_to_send_confirms_what_it_read_for_an_older_extraction(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "delivered", IN_WINDOW), ("2", "delivered", IN_WINDOW)])
    run_dag()
    older = open_older_extraction()
    shop.clear_rows()
    shop.add_rows([("1", "delivered", IN_WINDOW + timedelta(minutes=1)), ("2", "delivered", IN_WINDOW)])
    run = run_dag()
    assert (run.account["unchanged"], run.account["sent"]) == (2, 0)
    ledger = Ledger.from_conn_id("shop_ledger")
    known = look_up(ledger, "test", ["1", "2"], older.extraction_id, Extractions(ledger).others(older))
    newest = known["confirmed_since"].dt.tz_localize(None).tolist()
    assert newest == [IN_WINDOW + timedelta(minutes=1), IN_WINDOW]
    assert known["read_later"].str.len().tolist() == [1, 1]


@pytest.mark.clock
def test_what_an_older_extraction_sends_at_the_moment_of_a_confirmation_is_corrected_by_the_confirming_run(
    shop: ShopUnderTest,
) -> None:
    shop.add_rows([("1", "delivered", IN_WINDOW)])
    run_dag()
    older = open_older_extraction()
    shop.clear_rows()
    shop.add_rows([("1", "delivered", IN_WINDOW + timedelta(minutes=2))])
    at = pd.Series([IN_WINDOW + timedelta(minutes=1)], dtype="datetime64[us]").dt.tz_localize("UTC")
    cancelled = pd.DataFrame({"order_id": ["1"], "code": 2, "updated_at": at})
    sent_already = False

    def send_right_before_the_confirmation(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        nonlocal sent_already
        if "DELETE FROM rees46_confirmations" in statement and not sent_already:
            sent_already = True
            Rees46Hook("shop_rees46").send([("1", 2)])
            accept(Ledger.from_conn_id("shop_ledger"), older, 0, cancelled)

    sa.event.listen(sa.Engine, "before_cursor_execute", send_right_before_the_confirmation)
    try:
        run = run_dag()
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", send_right_before_the_confirmation)
    assert sent_already
    assert (run.account["sent"], run.account["unchanged"]) == (1, 0)
    assert shop.sandbox.state() == {"1": 1}


def test_orders_that_a_killed_task_left_in_flight_are_sent_again(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "cancelled", IN_WINDOW), ("2", "cancelled", IN_WINDOW)])
    run_dag()
    at = pd.Series([IN_WINDOW], dtype="datetime64[us, UTC]")
    orders = pd.DataFrame({"order_id": ["1"], "code": 2, "updated_at": at})
    killed = RunRef("test", "order_status_sync_test", "killed-run", "killed-extraction")
    open_request(Ledger.from_conn_id("shop_ledger"), killed, orders)
    # In the status that REES46 has anyway: whether it arrives or not makes no difference.
    assert run_dag().account["sent"] == 0
    open_request(Ledger.from_conn_id("shop_ledger"), killed, orders.assign(code=1))
    assert run_dag().account["sent"] == 1
    # The killed request may still be processed.
    assert run_dag().account["sent"] == 1


def test_a_zombie_attempt_changes_nothing_for_the_attempt_after_it(
    shop: ShopUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger.open("shop_ledger")
    start_extraction(ledger, OTHER_RUN, AT - timedelta(hours=1), EIGHT, has_read=False)
    start_extraction(ledger, RUN, AT - timedelta(hours=1), EIGHT)
    folder = UPath(shop.folder / "staging")
    staging.write(pa.Table.from_pandas(rows(("1", "new"), ("2", "new"))), folder / "valid-0000.parquet")
    extraction = {
        "extraction_id": RUN.extraction_id,
        "folder": str(folder),
        "resend": False,
        "is_resend": False,
        "window_end": EIGHT.isoformat(),
    }
    validated = {"index": 0, "extraction": extraction, "path": str(folder / "valid-0000.parquet")}
    built: list[BuiltBatches] = []

    def build() -> None:
        partition: Any = {"index": 0, "name": "0", "extraction": extraction}
        context = task_context({"validate_statuses": validated})
        built.append(build_batches(str(shop.shops / "test.yaml"), partition, **context))

    def stall(*arguments: Any) -> UPath:
        # The first attempt has compared. Another run sends a newer status of order 1, and the next attempt starts and
        # ends.
        monkeypatch.setattr(build_module, "stage_frame", stage_frame)
        Rees46Hook("shop_rees46").send([("1", 1)])
        accept(ledger, OTHER_RUN, 0, rows(("1", "delivered"), code=1).assign(updated_at=AT + timedelta(minutes=5)))
        build()
        return stage_frame(*arguments)

    monkeypatch.setattr(build_module, "stage_frame", stall)
    build()
    second, first = built
    assert (first["orders"], second["orders"], second["stale"]) == (2, 1, 1)

    load = Rees46SyncOrdersOperator(
        task_id="load_batches",
        shop="test",
        rees46_conn_id="shop_rees46",
        ledger_conn_id="shop_ledger",
        settle=timedelta(hours=1),
        batches=dict(second),
    )
    context: Any = task_context()
    assert load.execute(context)["sent"] == 1
    assert shop.sandbox.state() == {"1": 1, "2": 0}
    assert shop.sandbox.stats()["orders"] == 2


def test_rows_of_an_earlier_extraction_are_not_used(shop: ShopUnderTest) -> None:
    validated = {"index": 0, "extraction": {"extraction_id": "20260301T080000-0a1b2c3d"}, "path": "not read"}
    partition: Any = {"index": 0, "name": "0", "extraction": {"extraction_id": "20260301T090000-0a1b2c3d"}}

    with pytest.raises(RestartRunError, match=r"extraction 20260301T080000.*about extraction 20260301T090000.*clear"):
        build_batches(str(shop.shops / "test.yaml"), partition, **task_context({"validate_statuses": validated}))


@pytest.mark.parametrize(
    ("partition", "validated"),
    [
        pytest.param(OLD_PARTITION, OLD_PARTITION, id="both-tasks-before"),
        pytest.param(
            {"index": 0, "name": "0", "extraction": {"extraction_id": "20260301T090000-0a1b2c3d"}},
            OLD_PARTITION,
            id="validated-before",
        ),
    ],
)
def test_rows_of_an_earlier_version_are_not_used_but_say_to_clear_the_run(
    shop: ShopUnderTest, partition: Any, validated: Any
) -> None:
    with pytest.raises(RestartRunError, match=f"partition 0 {WRITTEN_BY_AN_EARLIER_VERSION}"):
        build_batches(str(shop.shops / "test.yaml"), partition, **task_context({"validate_statuses": validated}))
