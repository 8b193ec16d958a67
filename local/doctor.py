"""
The doctor of ``make doctor``: it also examines the demo shop, which needs no connections of its own.

The demo's warehouse and ledger are those that ``make run`` left; a sandbox runs while the demo is examined.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from local import demo
from local.home import keep_private
from rees46_sync.doctor.__main__ import INTERRUPTED, main
from rees46_sync.doctor.findings import Finding, ok
from rees46_sync.shop.shop import Shop

NOTE = (
    "the demo of make run, and a sandbox that was started for this report; some of the demo's rows are broken and some "
    "of its statuses unmapped on purpose"
)


@contextmanager
def demo_surroundings(shop: Shop) -> Iterator[Sequence[Finding]]:
    """Set the connections of the demo shop and run a sandbox, unless one of its connections is set already."""
    conn_ids = (shop.warehouse_conn_id, shop.ledger_conn_id, shop.rees46_conn_id)
    if shop.file != demo.SHOP_FILE or any(f"AIRFLOW_CONN_{conn_id.upper()}" in os.environ for conn_id in conn_ids):
        yield ()
        return
    with demo.run_sandbox() as sandbox:
        connections = demo.connection_variables(sandbox)
        os.environ.update(connections)
        try:
            yield (ok("shop.demo", NOTE),)
        finally:
            for name in connections:
                del os.environ[name]


if __name__ == "__main__":
    keep_private()
    try:
        sys.exit(main(surroundings=demo_surroundings))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
