"""The metrics of whole runs, as real packets of Airflow's StatsD client."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from rees46_sync.airflow_adapters.metrics import Metrics
from tests.conftest import ShopUnderTest
from tests.whole_run import EIGHT, run_dag

IN_WINDOW = EIGHT.replace(tzinfo=None) - timedelta(minutes=30)
DAG_ID = "order_status_sync_test"


class StatsD:
    """Receives the packets of a StatsD client, and has the Airflow of this process send them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **settings: str) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.2)
        port = str(self._socket.getsockname()[1])
        settings = {"STATSD_ON": "True", "STATSD_HOST": "127.0.0.1", "STATSD_PORT": port, **settings}
        for key, value in settings.items():
            monkeypatch.setenv(f"AIRFLOW__METRICS__{key}", value)
        self._start()

    def _start(self) -> None:
        """Set Airflow's metrics up, as a task's process does when it starts."""
        from airflow.sdk.observability import stats
        from airflow.sdk.observability.metrics import stats_utils

        stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=True)

    def received(self) -> dict[str, list[tuple[float, str]]]:
        """The values and their kind, by name, of the packets since the last call."""
        found: dict[str, list[tuple[float, str]]] = {}
        while True:
            try:
                packet = self._socket.recv(65536).decode()
            except TimeoutError:
                return {name.removeprefix("airflow."): values for name, values in found.items()}
            name, _, rest = packet.partition(":")
            value, _, kind = rest.partition("|")
            found.setdefault(name, []).append((float(value), kind))

    def stop(self) -> None:
        self._socket.close()


@pytest.fixture
def statsd(monkeypatch: pytest.MonkeyPatch) -> Iterator[StatsD]:
    listener = StatsD(monkeypatch)
    yield listener
    listener.stop()
    monkeypatch.undo()
    listener._start()


@pytest.mark.clock
def test_each_count_of_a_run_and_its_times_are_sent_under_both_names(shop: ShopUnderTest, statsd: StatsD) -> None:
    shop.add_rows([("1", "new", IN_WINDOW), ("2", "delivered", IN_WINDOW), ("3", "on_hold", IN_WINDOW)])

    run = run_dag()

    received = statsd.received()
    ours = {name: values for name, values in received.items() if name.startswith("rees46.")}
    for prefix in ("rees46.sync", f"rees46.sync.{DAG_ID}"):
        for name, count in run.account.items():
            assert ours.pop(f"{prefix}.{name}") == [(count, "c")]
        assert ours.pop(f"{prefix}.runs.success") == [(1, "c")]
        for name, kind in (("request_duration", "ms"), ("run_duration", "ms"), ("age_seconds", "g")):
            [(value, sent_kind)] = ours.pop(f"{prefix}.{name}")
            assert sent_kind == kind
            assert value > 0
    assert ours == {}
    # Since the end of the window, and not since the newest row: a quiet shop is not late.
    [(age, _)] = received["rees46.sync.age_seconds"]
    assert age <= (datetime.now(UTC) - EIGHT).total_seconds()


def test_a_failed_run_is_counted_as_failed(shop: ShopUnderTest, statsd: StatsD) -> None:
    shop.configure(limits={"changed_orders": 0})
    shop.add_rows([("1", "new", IN_WINDOW)])
    run_dag()

    received = statsd.received()

    assert received["rees46.sync.runs.failed"] == [(1, "c")]
    assert received["rees46.sync.failed"] == [(1, "c")]
    assert "rees46.sync.runs.success" not in received
    assert "rees46.sync.request_duration" not in received


def test_a_dry_run_sends_no_metrics(shop: ShopUnderTest, statsd: StatsD) -> None:
    shop.add_rows([("1", "new", IN_WINDOW)])

    assert run_dag(dry_run=True).account["would_send"] == 1

    assert [name for name in statsd.received() if name.startswith("rees46.")] == []


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        pytest.param({}, ["rees46.sync.request_duration", f"rees46.sync.{DAG_ID}.request_duration"], id="plain"),
        pytest.param(
            {"STATSD_INFLUXDB_ENABLED": "True", "LEGACY_NAMES_ON": "False"},
            [f"rees46.sync.request_duration,shop=test,dag_id={DAG_ID}"],
            id="tags-alone",
        ),
    ],
)
def test_tags_or_a_second_name_identify_the_shop(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], names: list[str]
) -> None:
    listener = StatsD(monkeypatch, **settings)

    Metrics("test", DAG_ID).request(timedelta(milliseconds=250))

    assert listener.received() == {name: [(250.0, "ms")] for name in names}
    listener.stop()
    monkeypatch.undo()
    listener._start()
