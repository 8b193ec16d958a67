"""
The DAGs of a shop: ``order_status_sync_<shop>`` (hourly) and ``order_status_history_<shop>`` (monthly).

Wiring only: the steps are in ``rees46_sync.pipeline``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

# airflow.sdk's task, imported from its own module: the plugin imports this one into the DAG processor, which forks for
# each parsing.
from airflow.providers.standard.decorators.python import python_task
from airflow.sdk import DAG, Asset, AssetAlias, AssetOrTimeSchedule, CronDataIntervalTimetable, Param
from airflow.sdk.bases.decorator import task_decorator_factory
from airflow.sdk.configuration import conf

from rees46_sync.airflow_adapters.assets import delivery_asset
from rees46_sync.airflow_adapters.pools import pool_name
from rees46_sync.airflow_adapters.retry_policy import Rees46RetryPolicy
from rees46_sync.pipeline.account_for_rows import account_for_rows
from rees46_sync.pipeline.approve_changes import approve_changes
from rees46_sync.pipeline.build_batches import build_batches
from rees46_sync.pipeline.extract_orders import extract_orders
from rees46_sync.pipeline.load_batches import Rees46SyncOrdersOperator
from rees46_sync.pipeline.validate_statuses import ValidateStatusesOperator, validate_statuses
from rees46_sync.shop.shop import MAX_ORDERS, Shop

if TYPE_CHECKING:
    from collections.abc import Callable

validate_task = partial(task_decorator_factory, decorated_operator_class=ValidateStatusesOperator)

OWNER = "rees46"
DOC = Path(__file__).with_name("order_status_sync.md").read_text("utf-8")


def make_params() -> dict[str, Param]:
    """Return the params of one DAG: Airflow writes the values of a run into them, so DAGs may not share any."""
    return {
        "window_start": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="Window start",
            description="Read the orders that changed from here on, instead of the run's own window. In the time zone "
            "that the calendar names; as text with its zone, as in 2026-01-31T00:00:00Z.",
        ),
        "window_end": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="Window end",
            description="Read the orders that changed before this. Only together with a window start.",
        ),
        "dry_run": Param(
            False, type="boolean", title="Dry run", description="Show what would be sent, and send nothing."
        ),
        "resend": Param(
            False,
            type="boolean",
            title="Resend",
            description="Send orders that REES46 has in this status already, too. Newer statuses at REES46 stay.",
        ),
        "ignore_limits": Param(
            False,
            type="boolean",
            title="Ignore limits",
            description="Send even if more is rejected or changed than the shop file's limits allow.",
        ),
        "changed_orders": Param(
            None,
            type=["null", "integer"],
            minimum=0,
            maximum=MAX_ORDERS,
            title="Changed orders",
            description="Send at most so many orders, or stop: this run's own limit, instead of the shop file's. The "
            "other limits stay.",
        ),
        "first_orders": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            title="First orders",
            description="Send only so many orders, to look at them in REES46. The next regular run sends the others.",
        ),
        "order_ids": Param(
            None,
            type=["null", "array"],
            items={"type": "string"},
            minItems=1,
            maxItems=1000,
            title="Order ids",
            description="Send only these orders, one id per line, also if REES46 has their status already. Without a "
            "window start they are read from their last known change on.",
        ),
    }


def step(function: Callable[..., Any], decorate: Callable[..., Any] = python_task, **options: Any) -> Any:
    """Turn a function into a task with one XCom; by default Airflow makes one of each key of a returned dict."""
    name = function.__name__.replace("_", " ").capitalize()
    return decorate(function, multiple_outputs=False, task_display_name=name, **options)


def build_dag(shop: Shop, *, history: bool) -> DAG:
    """Return one DAG of a shop: hourly, or over the months of its history."""
    timetable = CronDataIntervalTimetable("0 0 1 * *" if history else shop.schedule, timezone="UTC")
    with DAG(
        dag_id=f"order_status_{'history' if history else 'sync'}_{shop.shop}",
        description=f"Send REES46 the true status of the orders of {shop.shop}"
        + (", month by month" if history else ""),
        doc_md=DOC.format(
            shop=shop.shop,
            what="the orders of its data interval, a month, for backfills of years"
            if history
            else "the orders that changed since the last successful run, and those of the lookback before it",
        ),
        schedule=AssetOrTimeSchedule(timetable=timetable, assets=[Asset(shop.feed_asset)])
        if shop.feed_asset and not history
        else timetable,
        start_date=datetime(2000, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        params=make_params(),
        tags=["rees46", shop.shop],
        owner_links=_owner_links(),
        default_args={
            "owner": OWNER,
            "retries": 3,
            # For what the policy does not see: a killed task, a lost worker.
            "retry_delay": timedelta(minutes=1),
            "retry_policy": Rees46RetryPolicy(),
            # What hangs is ended and tried again. It takes no longer even at REES46's pace of 40 batches a minute.
            "execution_timeout": timedelta(hours=6),
        },
    ) as dag:
        add_tasks(shop, history=history)
    return dag


def add_tasks(shop: Shop, *, history: bool) -> None:
    """Add the six tasks to the DAG of the enclosing ``with``, and a seventh if the shop asks for approval."""
    shop_file = str(shop.file)
    partitions = step(extract_orders)(shop_file, history=history)
    each: dict[str, Any] = {"map_index_template": "{{ task.op_kwargs['partition']['name'] }}"}
    validate = step(validate_statuses, validate_task, **each)
    validated = validate.partial(shop_file=shop_file).expand(partition=partitions)
    # Not mapped over `validated`: if a task is mapped over a mapped one, and a cleared run is cleared again before it
    # got there, Airflow removes the task's instances but keeps their old results.
    built = step(build_batches, **each).partial(shop_file=shop_file).expand(partition=partitions)
    validated >> built
    approved = step(approve_changes)(shop_file, validated, built)
    if shop.on_limit == "ask":
        # Imported only for the shops that ask: it makes parsing slower.
        from rees46_sync.pipeline.ask_approval import AskApprovalOperator

        approved = AskApprovalOperator(
            task_id="ask_approval",
            task_display_name="Ask approval",
            shop=shop.shop,
            ledger_conn_id=shop.ledger_conn_id,
            batches=approved,
            response_timeout=shop.approval_timeout,
            approvers=shop.approvers,
        ).output
    loaded = Rees46SyncOrdersOperator.partial(
        task_id="load_batches",
        task_display_name="Load batches",
        map_index_template="{{ task.batches['name'] }}",
        shop=shop.shop,
        rees46_conn_id=shop.rees46_conn_id,
        ledger_conn_id=shop.ledger_conn_id,
        settle=shop.settle,
        allow_reopen=shop.allow_reopen,
        pool=pool_name(shop.shop),
        # Airflow gives a free slot to the oldest date: a backfill's loads would keep the hourly one waiting.
        priority_weight=1 if history else 2,
        retries=10,
    ).expand(batches=approved)
    step(account_for_rows, trigger_rule="all_done", outlets=[AssetAlias(delivery_asset(shop.shop, history=history))])(
        shop_file, validated, built, loaded.output, history=history
    )


def _owner_links() -> dict[str, str]:
    """Let the owner beside a DAG link to the page of the shops, if Airflow's configuration has its own address."""
    base_url = conf.get("api", "base_url", fallback="").rstrip("/")
    return {OWNER: f"{base_url}/plugin/rees46"} if base_url.startswith("http") else {}
