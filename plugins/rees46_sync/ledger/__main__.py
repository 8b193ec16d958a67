"""
Create or migrate a ledger's tables, as a role that may, if the role of the runs may not.

    AIRFLOW_CONN_LEDGER_OWNER=postgres://… python -m rees46_sync.ledger ledger_owner

With --rename OLD NEW a shop gets another name in the ledger, so that it continues where it was. With --retire SHOP the
ledger knows that a shop was taken out on purpose, and its missing file is not reported any more. Both leave every row
where it is, and refuse a shop that still has a shop file.
"""

from __future__ import annotations

import argparse
import os
import re
import sys

from rees46_sync.exceptions import NonRetryableError, SyncError
from rees46_sync.ledger import shop_names
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.migrations import STEP_TIMEOUT_S, VERSION, display_url
from rees46_sync.ledger.views import create_views
from rees46_sync.shop.project import find_project
from rees46_sync.shop.shop import Shop
from rees46_sync.shop.shop_file import load_shops, shops_dir


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 if the ledger is current now, and the shop renamed or taken out if that was asked for."""
    options = _parser().parse_args(arguments)
    try:
        if options.rename or options.retire:
            _change_shop(options)
        elif options.conn_id:
            _migrate(options.conn_id)
        else:
            raise NonRetryableError("No connection is named", "name that of the ledger's database")
    except SyncError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rees46_sync.ledger",
        description=(__doc__ or "").strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "conn_id",
        nargs="?",
        help="the id of an Airflow connection to the ledger's database; with --rename and --retire by default the "
        "ledger_conn_id of the shop files",
    )
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--rename", nargs=2, metavar=("OLD", "NEW"), type=_shop_name, help="give a shop another name")
    one.add_argument("--retire", metavar="SHOP", help="record that a shop was taken out on purpose")
    return parser


def _shop_name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9_]{1,100}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of a shop: a-z, 0-9 and _, up to 100 characters")
    return text


def _migrate(conn_id: str) -> None:
    ledger = Ledger.from_conn_id(conn_id, statement_timeout_s=STEP_TIMEOUT_S)
    ledger.migrate()
    with ledger.transaction(STEP_TIMEOUT_S) as connection:
        create_views(connection)  # also if the tables are current: the role may not have been allowed to before
    print(f"Ledger {display_url(ledger.engine)}: its schema is version {VERSION}.")
    ledger.engine.dispose()


def _change_shop(options: argparse.Namespace) -> None:
    shops, _ = load_shops(shops_dir(find_project()))
    old, new = options.rename or (options.retire, None)
    if served := next((shop for shop in shops if shop.shop == old), None):
        remedy = (
            f"write shop: {new} into it first" if new else "move it out of the folder first, or pause its DAG instead"
        )
        raise NonRetryableError(
            f"Shop file {served.file.name} is the file of shop {old!r}; nothing was changed", remedy
        )
    ledger = Ledger.from_conn_id(options.conn_id or _conn_id(shops, new), statement_timeout_s=STEP_TIMEOUT_S)
    ledger.migrate()
    if new:
        changed = shop_names.rename(ledger, old, new)
        counts = ", ".join(f"{count:,} of {table}" for table, count in changed.items())
        print(f"Ledger {display_url(ledger.engine)}: shop {old} is {new} now. Rows changed: {counts}.")
    else:
        shop_names.retire(ledger, old)
        print(f"Ledger {display_url(ledger.engine)}: shop {old} is taken out; its rows stay.")
    ledger.engine.dispose()


def _conn_id(shops: list[Shop], new: str | None) -> str:
    """Return the connection of the renamed shop's file, or the one that all shop files share."""
    of_new = [shop.ledger_conn_id for shop in shops if shop.shop == new]
    found = sorted(set(of_new or [shop.ledger_conn_id for shop in shops]))
    if len(found) != 1:
        raise NonRetryableError(
            f"The shop files name {', '.join(found) or 'no connection'} as ledger_conn_id",
            "name the connection of the shop's ledger as the first argument (make: LEDGER=<connection>)",
        )
    return found[0]


if __name__ == "__main__":
    # As Airflow's own commands about connections do: otherwise it does not search its metadata database for them.
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    sys.exit(main())
