"""
Ours in real use: a run started by hand on a live Airflow, by its API.

The API server, a scheduler with LocalExecutor, the DAG processor and the triggerer run with a PostgreSQL for Airflow,
on the same processors as everything else. The scheduler has imported what tasks need (docs/scaling.md, "Imports").
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from bench.data import SINCE, UNTIL, Orders
from bench.ours import DAG_ID, FEED, PROJECT, Finished, Ours, RunFailedError
from local import up
from tests.e2e.airflow_stack import AirflowStack, running_airflow

TIMEOUT_S = 1800
START_TIMEOUT_S = 120
AS_AIRFLOW_COMES = {
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "1",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "5",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "300",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "300",
    "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "5",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "5",
}
"""Airflow's own defaults of settings for which the stack of the tests has shorter times."""


class Live:
    """
    The shop on a live Airflow.

    :param ledger: the name of the ledger's database, which may be created anew between runs.
    """

    def __init__(self, ours: Ours, airflow: AirflowStack, ledger: str) -> None:
        self.ours = ours
        self.airflow = airflow
        self.ledger = ledger

    def run(
        self, orders: Orders, window: tuple[datetime, datetime] = (SINCE, UNTIL), sent: int | None = None
    ) -> Finished:
        """
        Run the shop's hourly DAG over a window, by default a year.

        :param sent: how many orders it has to send; None: it is not checked.
        :raises RunFailedError: it failed, or did not read every row, or did not send these orders.
        """
        times = {"window_start": window[0].isoformat(), "window_end": window[1].isoformat()}
        began = time.perf_counter()
        run_id = self.airflow.trigger(DAG_ID, conf=times)
        state = self.airflow.wait_for_run(DAG_ID, run_id, TIMEOUT_S)
        seconds = time.perf_counter() - began
        if state != "success":
            raise RunFailedError(f"Ours on a live Airflow: {run_id} ended as {state}.")
        account = self.ours.account(self.ledger, orders)
        if sent not in (None, account["sent"]):
            raise RunFailedError(f"Ours on a live Airflow: {run_id} sent {account['sent']} orders, not {sent}.")
        return Finished(seconds, account)


@contextmanager
def live(ours: Ours, orders: Orders, ledger: str, concurrency: int | None = None, settle: str = "1h") -> Iterator[Live]:
    """
    Run Airflow with the shop, a warehouse that has these orders, and the empty DAG.

    :param concurrency: of the REES46 connection; None is the default.
    :param settle: of the shop file.
    """
    home = ours.home / f"live-{ledger}-{orders.count}"
    up.write_preload_settings(home)
    for folder in (PROJECT / "dags", PROJECT / "bench" / "dags"):
        shutil.copytree(folder, home / "dags", dirs_exist_ok=True)
    shutil.copytree(ours.shop_file.parent, home / "shops")
    # Once a year: no scheduled run interferes, except the first, which Airflow starts at once.
    with (home / "shops" / ours.shop_file.name).open("a") as shop_file:
        shop_file.write(f"schedule: 0 0 1 1 *\nfeed_asset: {FEED}\nsettle: {settle}\n")
    environment = ours.environment(orders, ledger, concurrency) | {"REES46_SHOPS_DIR": str(home / "shops")}
    own = {name: value for name, value in environment.items() if name.startswith(("AIRFLOW_CONN", "REES46"))}
    with running_airflow(home, home / "dags", PROJECT / "plugins", own | AS_AIRFLOW_COMES) as airflow:
        for dag_id in ("empty", DAG_ID):
            airflow.wait_for_dag(dag_id)
            airflow.unpause(dag_id)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (runs := airflow.runs(DAG_ID)):
            if time.monotonic() > deadline:
                raise RunFailedError(f"Ours on a live Airflow: no run of {DAG_ID} began within {START_TIMEOUT_S} s.")
            time.sleep(1)
        airflow.wait_for_run(DAG_ID, runs[0]["dag_run_id"], TIMEOUT_S)
        yield Live(ours, airflow, ledger)
