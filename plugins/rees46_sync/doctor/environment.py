"""
What Airflow finds in the environment when the doctor asks it: set before Airflow is imported.

Nothing that is set already is changed: the environment comes first, then ``.env`` (which ``make up`` reads, too), then
what is said here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dotenv import dotenv_values

from rees46_sync.shop.shop import Shop

PROJECT = Path(__file__).resolve().parents[3]
DEMO_FILE = PROJECT / "include" / "shops" / "demo.yaml"


def read(env_file: Path) -> None:
    """Read ``.env``, as it stands there; choose the project's private Airflow where no other is named."""
    for name, value in dotenv_values(env_file, interpolate=False).items():
        if value is not None:
            os.environ.setdefault(name, value)
    if (PROJECT / ".airflow" / "airflow.cfg").exists():
        os.environ.setdefault("AIRFLOW_HOME", str(PROJECT / ".airflow"))


def settle(env_file: Path) -> None:
    """Read ``.env``, and have Airflow keep its peace."""
    read(env_file)
    os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR")
    # As Airflow's own commands about connections do: otherwise those of its metadata database are not looked for.
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"


@contextmanager
def demo_connections(shop: Shop) -> Iterator[str]:
    """
    Give the demo shop the connections of ``make run``, where none of its own are set, and a REES46 while this lasts.

    :return: in words what was done; empty where nothing was.
    """
    wanted = (shop.warehouse_conn_id, shop.ledger_conn_id, shop.rees46_conn_id)
    if shop.file != DEMO_FILE or any(f"AIRFLOW_CONN_{conn_id.upper()}" in os.environ for conn_id in wanted):
        yield ""
        return
    from local import demo

    with demo.open_sandbox() as sandbox:
        connections = demo.connections(sandbox)
        os.environ.update(connections)
        try:
            yield (
                "the demo of make run, and a sandbox that was started for this report; some of the demo's rows are "
                "broken and some of its statuses unmapped on purpose"
            )
        finally:
            for name in connections:
                del os.environ[name]
