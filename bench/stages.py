"""
The stages of the benchmark, each a method that adds to its results.

Every figure that counts is a ratio of two measurements of the same run, because seconds depend on the machine. After
every run of every contestant the receiver must hold exactly the final status of every order, or the benchmark fails.
"""

from __future__ import annotations

import shutil
import statistics
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from rich.progress import Progress, TaskID

from bench import freshness
from bench.contestants import run_peer, run_php
from bench.data import SINCE, UNTIL, Databases, Orders
from bench.freshness import percentile
from bench.ledgers import GrowingLedger, create_tables
from bench.live import live
from bench.ours import PARTITION_ROWS, PROJECT, Ours, RunFailedError
from bench.parsing import seconds_to_parse
from bench.processor import ProcessorTime
from bench.receiver import Receiver
from bench.steps import Step, Steps, parent_of_tasks
from rees46_sync.doctor.estimate import Estimate

PEERS = ("php_loop", "pandas_requests", "drt_rest", "drt_idempotent", "dlt_destination")
STAGES = ("parsing", "ledger", "hourly", "freshness", "load", "sizes_compared", "end_to_end")
"""In this order: the short ones first."""

BATCH = 1000
CONCURRENCY = 8
"""Requests in flight of whole runs."""

AUTO, FIXED = "auto", (8, 16, 32)
"""The REES46 connection's own choice of the requests in flight, up to the last of these."""

SHORT_S = 60
"""Shorter runs are repeated, and the median counts."""


@dataclass(frozen=True)
class Sizes:
    """
    How much is measured, in orders.

    :param end_to_end: what all contestants deliver, and what the load is measured with.
    :param small, large: the two sizes of the comparison of memory and speed.
    :param ledgers: rows of the ledger when it is measured.
    :param usual: what a shop has in its look-back.
    :param tries: repetitions of short runs.
    """

    end_to_end: int
    small: int
    large: int
    ledgers: tuple[int, ...]
    hourly: int = 1000
    usual: int = 100_000
    tries: int = 3
    latency_ms: int = 200


FULL = Sizes(1_000_000, 500_000, 5_000_000, (1_000_000, 5_000_000, 20_000_000))
QUICK = Sizes(20_000, 20_000, 100_000, (100_000, 400_000), usual=10_000, tries=1)


class Bench:
    """One run of everything."""

    def __init__(self, sizes: Sizes, databases: Databases, receiver: Receiver, progress: Progress) -> None:
        self.sizes = sizes
        self.databases = databases
        self.receiver = receiver
        self.progress = progress
        self.ours = Ours(databases.home / "airflow", databases, receiver)
        self.results: dict[str, Any] = {}
        self.seconds: dict[str, Any] = {}
        self.stolen: dict[str, float] = {}
        self.processor: dict[str, list[float]] = {}

    def all(self) -> None:
        """Measure everything."""
        whole = self.progress.add_task("everything", total=len(STAGES))
        for stage in STAGES:
            getattr(self, stage)()
            self.progress.advance(whole)

    def parsing(self) -> None:
        """Parse our DAG file with one shop, and an empty one with that timetable in an Airflow without our plugin."""
        environment = self.ours.environment(Orders(0, "", "sqlite://"), "none")
        files = {"ours": PROJECT / "dags" / "order_status_sync.py", "empty": PROJECT / "bench" / "dags" / "empty.py"}
        tries: dict[str, list[float]] = {name: [] for name in files}
        with self.stage("parsing", self.sizes.tries):
            for _ in range(self.sizes.tries):
                for name, file in files.items():
                    tries[name] += seconds_to_parse(file, environment, plugins=name == "ours")
        self.seconds["parse"] = {name: statistics.median(seconds) for name, seconds in tries.items()}
        self.results["dag_parse_vs_empty_dag"] = self.seconds["parse"]["ours"] / self.seconds["parse"]["empty"]

    def ledger(self) -> None:
        """Look up and record in a ledger that grows."""
        growing = GrowingLedger(self.databases.create("growing_ledger"))
        speeds = []
        with self.stage("ledger", len(self.sizes.ledgers)) as stage:
            for rows in self.sizes.ledgers:
                growing.grow(rows)
                speeds.append(growing.measure(min(rows, 100_000)))
                self.progress.advance(stage)
        growing.engine.dispose()
        self.databases.create("growing_ledger")  # the disk is free again
        self.results["ledger"] = [asdict(speed) for speed in speeds]
        self.results["ledger_lookups_per_s"] = speeds[-1].looked_up_per_s
        self.results["ledger_records_per_s"] = speeds[-1].recorded_per_s
        self.results["ledger_lookups_large_vs_small"] = speeds[-1].looked_up_per_s / speeds[0].looked_up_per_s
        self.results["ledger_bytes_per_order"] = speeds[-1].bytes_per_order

    def hourly(self) -> None:
        """Run our DAG with 1000 changed orders and the empty DAG in turn."""
        orders = self.databases.orders(self.sizes.hourly)
        ledger = self.new_ledger()
        self.receiver.reset()
        hour = (UNTIL - timedelta(hours=1), UNTIL)
        ours, empty = [], []
        with self.stage("hourly runs", self.sizes.tries) as stage:
            for _ in range(self.sizes.tries):
                empty.append(self.ours.run_empty_dag(orders, ledger))
                orders.change_all()
                finished = self.ours.run(orders, ledger, hour)
                self.check("ours, hourly", orders)
                if finished.account["sent"] != orders.count:
                    raise RunFailedError(f"The hourly run sent {finished.account['sent']} of {orders.count} orders.")
                ours.append(finished.seconds)
                self.progress.advance(stage)
        self.seconds["hourly"] = {"ours": ours, "empty": empty}
        self.results["hourly_run_1000_orders_vs_empty_dag"] = statistics.median(ours) / statistics.median(empty)

    def freshness(self) -> None:
        """Measure from an order's change to its acceptance, on a live Airflow."""
        orders, tries = self.databases.orders(self.sizes.hourly), max(self.sizes.tries, 2)
        self.receiver.reset(self.sizes.latency_ms)
        with self.stage("freshness", tries), live(self.ours, orders, self.new_ledger()) as ours:
            found = freshness.measure(ours, orders, tries)
        self.seconds["freshness"] = {
            name: {"p50": percentile(seconds, 50), "p95": percentile(seconds, 95)}
            for name, seconds in vars(found).items()
        }
        for name, seconds in (("", found.by_hand), ("feed_", found.by_feed)):
            self.results[f"freshness_{name}p50_s"] = percentile(seconds, 50)
            self.results[f"freshness_{name}p95_s"] = percentile(seconds, 95)
        self.results["empty_dag_of_six_tasks_s"] = statistics.median(found.empty)

    def load(self) -> None:
        """Compare the load step alone with what latency and concurrency allow."""
        orders = self.databases.orders(self.sizes.end_to_end)
        with self.steps(orders) as steps:
            approved = steps.prepare((SINCE, UNTIL))
            for latency_ms in (50, 200):
                for concurrency, named in ((8, ""), (32, "_32")):
                    ratio = self.time_load(steps, approved, orders, latency_ms, concurrency)
                    self.results[f"load_1m_{latency_ms}ms{named}_vs_ideal"] = ratio
            for concurrency in (16, AUTO):
                self.time_load(steps, approved, orders, latency_ms, concurrency)
        timed = {key: self.seconds[f"load_{orders.count}_{latency_ms}ms_{key}"]["tasks"] for key in (*FIXED, AUTO)}
        self.results["auto_concurrency_vs_best_fixed"] = min(timed[key] for key in FIXED) / timed[AUTO]

    def time_load(
        self, steps: Steps, approved: list[Any], orders: Orders, latency_ms: int, concurrency: int | str
    ) -> float:
        """Load the staged orders, with an empty ledger; return ideal / seconds, the ideal of auto being its most."""
        at_once = FIXED[-1] if concurrency == AUTO else int(concurrency)
        ideal = len(range(0, orders.count, BATCH)) * latency_ms / 1000 / at_once
        tries: list[Step] = []
        with self.stage(f"load, {latency_ms} ms, {concurrency} at once", orders.count, watch=True):
            while len(tries) < self.sizes.tries and (not tries or tries[-1].seconds < SHORT_S):
                ledger = self.new_ledger()
                create_tables(self.databases.uri(ledger))
                steps.environment = self.ours.environment(orders, ledger, concurrency)
                self.receiver.reset(latency_ms)
                tries.append(steps.load(approved))
                stats = self.receiver.stats()
                self.results["receiver_cpu_ms_per_request"] = 1000 * stats["cpu_s"] / stats["requests"]
                self.check("the load", orders)
        seconds = statistics.median(step.own_seconds for step in tries)
        name = f"load_{orders.count}_{latency_ms}ms_{concurrency}"
        self.seconds[name] = {
            "ideal": ideal,
            "tasks": seconds,
            "with_process_starts": statistics.median(step.seconds for step in tries),
            "max_in_flight": self.receiver.stats()["max_in_flight"],
        }
        return ideal / seconds

    def sizes_compared(self) -> None:
        """Measure memory and speed at two sizes, and a second run of the larger one, in which nothing has changed."""
        for name, count in (("500k", self.sizes.small), ("5m", self.sizes.large)):
            orders = self.databases.orders(count)
            self.receiver.reset()
            with self.steps(orders) as steps, self.stage(f"steps, {count:,} orders", count, watch=True):
                first = steps.run((SINCE, UNTIL))
                self.check("the steps", orders)
                if count == self.sizes.large:
                    self.unchanged(steps, count)
            self.seconds[f"steps_{name}"] = {task: step.seconds for task, step in first.items()}
            self.results[f"rows_per_s_{name}"] = count / sum(step.seconds for step in first.values())
            self.results[f"peak_memory_{name}_mb_by_task"] = {task: step.peak_mb for task, step in first.items()}
            self.results[f"peak_memory_{name}_mb"] = max(step.peak_mb for step in first.values())
        for key in ("rows_per_s_{}", "peak_memory_{}_mb"):
            ratio = self.results[key.format("5m")] / self.results[key.format("500k")]
            self.results[key.format("5m").removesuffix("_mb") + "_vs_500k"] = ratio

    def unchanged(self, steps: Steps, count: int) -> None:
        """Run again over orders that REES46 already has."""
        before, processor = self.receiver.stats()["requests"], ProcessorTime.now()
        second = steps.run((SINCE, UNTIL))
        self.results["unchanged_5m_cpu_s"] = ProcessorTime.now().since(processor).busy
        self.results["requests_when_nothing_changed"] = self.receiver.stats()["requests"] - before
        self.seconds["steps_5m_unchanged"] = {task: step.seconds for task, step in second.items()}
        compared = ("extract_orders", "validate_statuses", "build_batches")
        self.results["unchanged_5m_rows_per_s"] = count / sum(second[task].seconds for task in compared)

    def end_to_end(self) -> None:
        """Let ours and each peer deliver the same orders to the same receiver, one after another."""
        orders = self.databases.orders(self.sizes.end_to_end)
        medians = {"ours": self.time_ours("ours", orders)}
        self.estimate(medians["ours"])
        ideal = len(range(0, orders.count, BATCH)) * self.sizes.latency_ms / 1000 / CONCURRENCY
        millions = orders.count / 1_000_000
        self.results["own_seconds_per_million"] = (medians["ours"] - ideal) / millions
        self.results["cpu_s_per_million"] = statistics.median(self.processor["ours"]) / millions
        if php := shutil.which("php"):
            self.time_delivery("php", orders, partial(run_php, php, orders, self.receiver), latency_ms=0)
            ratio = self.results["cpu_s_per_million"] * millions / statistics.median(self.processor["php"])
            self.results["cpu_vs_php"] = ratio
        for peer in PEERS:
            medians[peer] = self.time_delivery(peer, orders, partial(run_peer, peer, orders, self.receiver))
        best = min(medians[name] for name in PEERS)
        self.results["end_to_end_1m_200ms_vs_best_peer"] = best / medians["ours"]
        self.results["end_to_end_1m_200ms_vs"] = {name: medians[name] / medians["ours"] for name in PEERS}

    def estimate(self, seconds: float) -> None:
        """
        Compare the seconds of whole runs of three sizes with those of the estimate of docs/scaling.md.

        :param seconds: of the largest size.
        """
        measured = {self.sizes.end_to_end: seconds}
        for count in (self.sizes.end_to_end // 4, self.sizes.end_to_end // 2):
            measured[count] = self.time_ours(f"ours, {count:,} orders", self.databases.orders(count))
        estimated = {count: self.estimated(count) for count in measured}
        self.seconds["estimate"] = {count: [estimated[count], measured[count]] for count in sorted(measured)}
        ratios = [estimated[count] / measured[count] for count in measured]
        self.results["estimate_vs_measured"] = max(max(ratio, 1 / ratio) for ratio in ratios)

    def estimated(self, count: int) -> float:
        """Return what is estimated for a window of so many orders, whose steps run one after another."""
        history = Estimate(
            orders=count,
            windows=1,
            partition_rows=PARTITION_ROWS,
            batch=BATCH,
            concurrency=CONCURRENCY,
            latency_s=self.sizes.latency_ms / 1000,
            min_interval_s=0,
            slots=1,
            windows_at_once=1,
        )
        return history.sending_s + history.validating_s

    def time_ours(self, name: str, orders: Orders) -> float:
        """Run ours on a live Airflow; return the seconds of a run."""
        with live(self.ours, orders, self.new_ledger(), CONCURRENCY) as ours:
            return self.time_delivery(name, orders, lambda: ours.run(orders).seconds)

    def time_delivery(
        self, name: str, orders: Orders, deliver: Callable[[], float], latency_ms: int | None = None
    ) -> float:
        """
        Let a contestant deliver all orders, to an empty receiver, with an empty ledger; return its seconds.

        The processor time of the machine meanwhile, without the receiver's, goes into :attr:`processor`.
        """
        tries: list[float] = []
        with self.stage(f"end to end: {name}", orders.count, watch=True):
            while len(tries) < self.sizes.tries and (not tries or tries[-1] < SHORT_S):
                self.new_ledger()
                self.receiver.reset(self.sizes.latency_ms if latency_ms is None else latency_ms)
                before = ProcessorTime.now()
                tries.append(deliver())
                busy = ProcessorTime.now().since(before).busy - self.receiver.stats()["cpu_s"]
                self.processor.setdefault(name, []).append(busy)
                self.check(name, orders)
        self.seconds[f"end_to_end_{name}"] = tries
        return statistics.median(tries)

    def check(self, contestant: str, orders: Orders) -> None:
        """
        Compare what the receiver holds with the warehouse.

        :raises RunFailedError: they differ, or the receiver refused a request.
        """
        stats = self.receiver.stats()
        if self.receiver.digest() != orders.digest() or stats["refused"]:
            raise RunFailedError(f"After {contestant} the receiver does not hold the warehouse's statuses: {stats}")

    def new_ledger(self) -> str:
        """Replace the ledger's database by an empty one; return its name."""
        self.databases.create("ledger")
        return "ledger"

    @contextmanager
    def steps(self, orders: Orders) -> Iterator[Steps]:
        """Prepare to run our steps over these orders, with an empty ledger."""
        environment = self.ours.environment(orders, self.new_ledger())
        with parent_of_tasks(environment):
            yield Steps(self.ours.shop_file, environment)

    @contextmanager
    def stage(self, name: str, total: int, *, watch: bool = False) -> Iterator[TaskID]:
        """
        Show a stage, and record the share of processor time that the hypervisor took meanwhile in :attr:`stolen`.

        :param watch: whether the progress bar shows the orders that have reached the receiver.
        """
        before = ProcessorTime.now()
        bar = self.progress.add_task(name, total=total)
        ended = threading.Event()

        def follow() -> None:
            while not ended.wait(1):
                self.progress.update(bar, completed=min(total, self.receiver.stats()["orders"]))

        follower = threading.Thread(target=follow, daemon=True)
        if watch:
            follower.start()
        try:
            yield bar
        finally:
            ended.set()
            if watch:
                follower.join()
            self.progress.update(bar, completed=total)
            passed = ProcessorTime.now().since(before)
            self.stolen[name] = passed.stolen / passed.total
