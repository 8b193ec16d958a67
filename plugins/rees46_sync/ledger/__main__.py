"""
Create or migrate a ledger's tables, as a role that may, if the role of the runs may not.

    AIRFLOW_CONN_LEDGER_OWNER=postgres://… python -m rees46_sync.ledger ledger_owner
"""

from __future__ import annotations

import argparse
import sys

from rees46_sync.exceptions import SyncError
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.migrations import STEP_TIMEOUT_S, VERSION, display_url


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 if the ledger is current now."""
    parser = argparse.ArgumentParser(prog="python -m rees46_sync.ledger", description=(__doc__ or "").strip())
    parser.add_argument("conn_id", help="the id of an Airflow connection to the ledger's database")
    try:
        ledger = Ledger.from_conn_id(parser.parse_args(arguments).conn_id, statement_timeout_s=STEP_TIMEOUT_S)
        ledger.migrate()
    except SyncError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Ledger {display_url(ledger.engine)}: its schema is version {VERSION}.")
    ledger.engine.dispose()
    return 0


if __name__ == "__main__":
    sys.exit(main())
