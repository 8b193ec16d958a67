"""The operators: the one that loads order statuses into REES46, and that of a task with a link to its Data Docs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.decorators.python import _PythonDecoratedOperator
from airflow.sdk import BaseOperator, BaseOperatorLink
from structlog.contextvars import bind_contextvars

from rees46_sync.airflow_adapters.metrics import Metrics

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import TaskInstanceKey

    from rees46_sync.pipeline.delivery import Delivery


class Rees46SyncOrdersOperator(BaseOperator):
    """
    Send staged orders to REES46 in batches as large as its dialect takes, and record every answer in the ledger.

    A retry sends only what the ledger does not hold yet. The task fails where a batch was not accepted; the other
    batches are sent and recorded all the same, and a later run sends what is missing.

    :param shop: the shop's name in the ledger.
    :param rees46_conn_id: the connection with the shop's REES46 keys.
    :param ledger_conn_id: the connection of the ledger's database.
    :param batches: what ``build_batches`` returned for one partition: where its orders are staged, and how they were
        read.
    :param allow_reopen: whether a completed or cancelled order may become created.

    Returns (XCom) the partition's tally: orders, sent, unchanged, stale, reopened, failed; and the extraction_id of the
    reading that it is about. The tally is there when the task fails, too.
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
        allow_reopen: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.shop = shop
        self.rees46_conn_id = rees46_conn_id
        self.ledger_conn_id = ledger_conn_id
        self.batches = batches
        self.allow_reopen = allow_reopen

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Send the partition's orders.

        :raises Rees46Error: a batch was not accepted; the error that a retry can mend, where there is one.
        :raises LoadStoppedError: Airflow told the task to stop.
        :raises StagedFilesGoneError: the staged orders are not there any more.
        :raises StagedFileBrokenError: the file of the staged orders was cut off.
        :raises StagedFileOutdatedError: it lacks what the connection's dialect needs.
        """
        from dataclasses import asdict
        from functools import partial

        from rees46_sync.airflow_adapters import lineage, staging
        from rees46_sync.exceptions import LoadStoppedError
        from rees46_sync.ledger.database import Ledger, RunRef
        from rees46_sync.pipeline.delivery import Delivery
        from rees46_sync.pipeline.diff import Reading
        from rees46_sync.rees46 import payload
        from rees46_sync.rees46.hook import Rees46Hook

        reading = self.batches["reading"]
        bind_contextvars(shop=self.shop, partition=self.batches["index"])
        hook, metrics = Rees46Hook(self.rees46_conn_id), Metrics(self.shop, context["ti"].dag_id)
        status_text = hook.settings.status_text
        ledger = Ledger.of_connection(self.ledger_conn_id)
        ledger.create()
        hook.get_conn().hooks["response"].append(lambda answer, **_: metrics.request(answer.elapsed))
        self._delivery = delivery = Delivery(
            sender=hook,
            ledger=ledger,
            run=RunRef(
                shop=self.shop,
                dag_id=context["ti"].dag_id,
                run_id=context["ti"].run_id,
                extraction_id=reading["extraction_id"],
            ),
            partition=self.batches["index"],
            reading=Reading(
                mark=reading["mark"],
                window_end=datetime.fromisoformat(reading["window_end"]),
                resend=reading["resend"],
                allow_reopen=self.allow_reopen,
            ),
            statuses_of=partial(payload.statuses_of, status_text=status_text),
            batch_size=hook.settings.dialect.max_orders,
            concurrency=hook.settings.concurrency,
        )
        path = staging.open_path(self.batches["path"])
        orders = staging.read(path, payload.columns_of(status_text)).to_pandas()
        self.log.info("Sending %d orders of partition %d to %s.", len(orders), delivery.partition, hook.settings.url)
        lineage.sent_to(hook, hook.settings.url, self.shop)
        # An earlier version of the project said nothing of this in the runs that it began.
        counts = asdict(delivery.deliver(orders, self.batches.get("compared_at")))
        self.log.info("Partition %d: %s.", delivery.partition, ", ".join(f"{k} {v}" for k, v in counts.items()))
        tally = {"index": delivery.partition, "extraction_id": delivery.run.extraction_id, **counts}
        if delivery.errors:
            context["ti"].xcom_push(key="return_value", value=tally)
            raise delivery.worst_error
        if delivery.told_to_stop:
            context["ti"].xcom_push(key="return_value", value=tally)
            raise LoadStoppedError(
                f"Partition {delivery.partition}: the task was told to stop; {tally['failed']} orders were not sent. "
                "Clear it to send them, or leave it to the next run."
            )
        return tally

    def on_kill(self) -> None:
        """Obey Airflow's SIGTERM (somebody marked the task failed, its pod is moved): start no further batch."""
        if self._delivery is not None:
            self._delivery.stop()


class DataDocsLink(BaseOperatorLink):
    """The button in a task's page of the UI that opens its Data Docs."""

    name = "Data Docs"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the address of the Data Docs; empty, which shows no button, where the task kept none."""
        from airflow.sdk.execution_time.xcom import XCom

        judged = XCom.get_value(ti_key=ti_key, key="return_value")
        return (judged and judged["data_docs"]) or ""


class ValidateStatusesOperator(_PythonDecoratedOperator):
    """What Airflow makes of a function, with a button: it takes links from the class of an operator alone."""

    operator_extra_links = (DataDocsLink(),)
