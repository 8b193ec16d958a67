"""What is measured only by name, ``python -m bench --only …``, because it is not a ratio of speeds."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta

from bench import faults, five_minutes, health
from bench.freshness import percentile
from bench.live import live
from bench.stages import PEERS, Bench

BY_NAME = ("faults", "five_minutes", "health")


class ByName(Bench):
    """One of these, in the place of the stages."""

    def faults(self) -> None:
        """Let ours and each peer deliver orders of which some are broken, to a REES46 that fails, and kill them."""
        with self.stage("faults", 1):
            outcomes = faults.measure(self.databases, self.sizes.usual, PEERS)
        self.results["faults"] = {
            case: {name: asdict(outcome) for name, outcome in found.items()} for case, found in outcomes.items()
        }

    def five_minutes(self) -> None:
        """Run ours as often as in a day with a run every five minutes."""
        orders = self.databases.orders(self.sizes.usual)
        runs = timedelta(days=1) // five_minutes.EVERY if self.sizes.tries > 1 else 3
        shop = live(self.ours, orders, self.new_ledger(), settle=five_minutes.SETTLE)
        with self.stage("five minutes", runs) as stage, shop as ours:
            seconds = five_minutes.measure(ours, orders, runs, lambda: self.progress.advance(stage))
        self.check("the runs of five minutes", orders)
        self.results["five_minutes"] = {
            "runs": len(seconds),
            "late": sum(timedelta(seconds=one) > five_minutes.EVERY for one in seconds),
            "p50_s": percentile(seconds, 50),
            "p95_s": percentile(seconds, 95),
            "max_s": max(seconds),
        }

    def health(self) -> None:
        """Time a user's requests while nobody, and while sixty monitors ask Airflow's health and ours."""
        orders = self.databases.orders(self.sizes.hourly)
        with self.stage("health", 1), live(self.ours, orders, self.new_ledger()) as ours:
            found = health.measure(ours.airflow)
        self.results["health"] = {
            name: {"p50_s": percentile(seconds, 50), "p95_s": percentile(seconds, 95)}
            for name, seconds in found.items()
        }
