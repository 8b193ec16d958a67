"""Task 5: load the built batches into REES46."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from structlog.contextvars import bind_contextvars

from rees46_sync.airflow_adapters.metrics import Metrics
from rees46_sync.exceptions import LoadStoppedError
from rees46_sync.pipeline.causes import leaving_cause
from rees46_sync.pipeline.run import get_extraction

if TYPE_CHECKING:
    import pandas as pd
    from airflow.sdk import Context

    from rees46_sync.pipeline.delivery import Delivery
    from rees46_sync.rees46.hook import Rees46Hook


class Rees46SyncOrdersOperator(BaseOperator):
    """
    Send staged orders to REES46 in batches as large as its dialect allows, and record each result in the ledger.

    A retry sends only what the ledger does not have yet. The task fails if a batch was not accepted; the other batches
    are sent and recorded all the same, and a later run sends what is missing.

    :param shop: the shop's name in the ledger.
    :param rees46_conn_id: the connection with the shop's REES46 keys.
    :param ledger_conn_id: the connection of the ledger's database.
    :param batches: what ``build_batches`` returned for one partition.
    :param settle: how long REES46 may still process a request, see the shop file.
    :param allow_reopen: whether a completed or cancelled order may become created.

    Returns (XCom) the partition's tally: orders, sent, unchanged, stale, reopened, rejected, failed; with its index and
    the extraction_id. The tally is there even if the task fails; then the XCom ``cause`` says why.
    """

    template_fields: Sequence[str] = ("batches",)
    ui_color = "#e8f1fb"
    _delivery: Delivery | None = None

    def __init__(
        self,
        *,
        shop: str,
        rees46_conn_id: str,
        ledger_conn_id: str,
        batches: dict[str, Any],
        settle: timedelta,
        allow_reopen: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.shop = shop
        self.rees46_conn_id = rees46_conn_id
        self.ledger_conn_id = ledger_conn_id
        self.batches = batches
        self.settle = settle
        self.allow_reopen = allow_reopen

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Send the partition's orders.

        :raises Rees46Error: a batch was not accepted; of several errors, one that a retry can help.
        :raises LoadStoppedError: Airflow stopped the task, or another load of the shop has started.
        :raises RestartRunError: the staged orders are gone, broken, or of an earlier version of the project.
        """
        bind_contextvars(shop=self.shop, partition=self.batches["index"])
        with leaving_cause(context["ti"], self.batches["index"]):
            return self._load(context)

    def _load(self, context: Context) -> dict[str, Any]:
        from rees46_sync.airflow_adapters import lineage
        from rees46_sync.rees46.hook import Rees46Hook

        hook, metrics = Rees46Hook(self.rees46_conn_id), Metrics(self.shop, context["ti"].dag_id)
        hook.get_conn().hooks["response"].append(lambda response, **_: metrics.request(response.elapsed))
        self._delivery = delivery = self._make_delivery(hook, context)
        orders = self._read_orders(hook)
        self.log.info("Sending %d orders of partition %d to %s.", len(orders), delivery.partition, hook.settings.url)
        lineage.sent_to(hook, hook.settings.url, self.shop)
        counts = delivery.deliver(orders, self.batches["comparison_token"])
        self._quarantine(delivery, context)
        self.log.info("Partition %d: %s.", delivery.partition, ", ".join(f"{k} {v}" for k, v in counts.items()))
        tally = {"index": delivery.partition, "extraction_id": delivery.run.extraction_id, **counts}
        breaker = delivery.breaker
        if breaker.errors or breaker.stopped_by:
            context["ti"].xcom_push(key="return_value", value=tally)
        if breaker.errors:
            raise breaker.deciding_error
        if breaker.stopped_by:
            raise LoadStoppedError(
                f"Partition {delivery.partition}: stopped by {breaker.stopped_by}; {tally['failed']} orders were not "
                "sent, or may not have been",
                "clear it to send them, or leave it to the next run",
            )
        return tally

    def on_kill(self) -> None:
        """Obey Airflow's SIGTERM (a person marked the task failed, its pod is moved): send no further batch."""
        if self._delivery is not None:
            self._delivery.stop()

    def _quarantine(self, delivery: Delivery, context: Context) -> None:
        """Store the orders that REES46 refuses even alone."""
        from rees46_sync.airflow_adapters import staging
        from rees46_sync.ledger.quarantine import REFUSED_BY_REES46, Quarantine, RejectedRow

        bad = delivery.bad_orders["order_id"]
        if bad.empty:
            return
        # Read anew: a load may have needed the codes alone.
        staged = staging.read(staging.open_path(self.batches["path"])).to_pandas()
        staged = staged[staged["order_id"].isin(bad)]
        statuses = staged["status"] if "status" in staged else staged["code"].map(str)
        rows = [
            RejectedRow(order_id, status, str(updated_at), REFUSED_BY_REES46)
            for order_id, status, updated_at in zip(staged["order_id"], statuses, staged["updated_at"], strict=True)
        ]
        new = Quarantine(delivery.ledger).store(self.shop, context["ti"].run_id, rows)
        self.log.error(
            "REES46 refuses %d orders of partition %d, %d of them new, such as order %s: see rees46_rejected_orders.",
            len(rows),
            delivery.partition,
            new,
            rows[0].order_id,
        )

    def _make_delivery(self, hook: Rees46Hook, context: Context) -> Delivery:
        from rees46_sync.ledger.database import Ledger
        from rees46_sync.ledger.runs import RunRef
        from rees46_sync.pipeline.delivery import Delivery
        from rees46_sync.pipeline.diff import DiffContext
        from rees46_sync.rees46.payload import statuses_to_send

        extraction, ti = get_extraction(self.batches), context["ti"]
        return Delivery(
            sender=hook,
            ledger=Ledger.open(self.ledger_conn_id),
            run=RunRef(self.shop, ti.dag_id, ti.run_id, extraction["extraction_id"]),
            partition=self.batches["index"],
            context=DiffContext.from_extraction(extraction, settle=self.settle, allow_reopen=self.allow_reopen),
            statuses_to_send=partial(statuses_to_send, status_text=hook.settings.status_text),
            batch_size=hook.settings.dialect.max_orders,
            concurrency=hook.settings.max_in_flight,
            slots=hook.slots,
        )

    def _read_orders(self, hook: Rees46Hook) -> pd.DataFrame:
        from rees46_sync.airflow_adapters import staging
        from rees46_sync.pipeline.diff import FORMER
        from rees46_sync.rees46.payload import staged_columns

        path = staging.open_path(self.batches["path"])
        staged = staging.read(path, staged_columns(hook.settings.status_text), optional=FORMER)
        # Of a run with first_orders the file may hold more.
        orders: pd.DataFrame = staged.slice(0, self.batches["orders"]).to_pandas()
        return orders
