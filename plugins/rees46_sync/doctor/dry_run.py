"""
``make dry-run``: an hourly run of a shop that shows what it would send to REES46, and sends nothing.

``make remap`` is one over all that was sent by an earlier mapping of the shop file; after it comes the command that
sends.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rees46_sync.doctor import environment
from rees46_sync.exceptions import SyncError
from rees46_sync.monitoring.gaps import closing_command
from rees46_sync.shop.shop_file import load_shops, shops_dir

if TYPE_CHECKING:
    from rees46_sync.ledger.coverage import Span
    from rees46_sync.shop.shop import Shop

FAILED, WRONG_USAGE = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the shop's hourly DAG by ``airflow dags test``.

    :return: its exit code; 2 if there is no such shop, 1 if its ledger does not say what an earlier mapping has sent.
    """
    parser = argparse.ArgumentParser("python -m rees46_sync.doctor.dry_run", description=__doc__)
    parser.add_argument("shop")
    parser.add_argument("--remap", action="store_true", help="over all that was sent by an earlier mapping")
    parser.add_argument(
        "--env-file", type=Path, default=environment.PROJECT / ".env", help="variables for Airflow (.env)"
    )
    options = parser.parse_args(arguments)
    environment.read_env_file(options.env_file)
    folder = shops_dir(environment.PROJECT)
    shops, errors = load_shops(folder)
    names = [shop.shop for shop in shops]
    if options.shop not in names:
        known = ", ".join(names) or "none"
        print(f"There is no shop {options.shop!r} in {folder} that can be used; its shops: {known}.", file=sys.stderr)
        for error in errors:
            print(error, file=sys.stderr)
        return WRONG_USAGE
    conf: dict[str, object] = {"dry_run": True}
    try:
        gap = _remapped_span(shops[names.index(options.shop)]) if options.remap else None
    except SyncError as problem:
        print(problem, file=sys.stderr)
        return FAILED
    if options.remap and gap is None:
        print("Everything that was sent is as the shop file maps it now.")
        return 0
    if gap:
        start, end = (moment.replace(tzinfo=None).isoformat() for moment in gap)
        conf |= {"window_start": start, "window_end": end}
    test = ["airflow", "dags", "test", f"order_status_sync_{options.shop}", "--conf", json.dumps(conf)]
    code = subprocess.run([sys.executable, "-m", *test], check=False).returncode  # noqa: S603 - our own command
    if gap and code == 0:
        print(f"This sends it, within limits.changed_orders:\n{closing_command(options.shop, gap)}")
    return code


def _remapped_span(shop: Shop) -> Span | None:
    """Return the span of all that an earlier mapping has sent, and print what was corrected; None if there is none."""
    with environment.stored_connections():
        from rees46_sync.ledger.database import Ledger
        from rees46_sync.ledger.mappings import corrected_mapping

        ledger = Ledger.open(shop.ledger_conn_id)
    corrected = corrected_mapping(ledger, shop.shop, shop.codes)
    if corrected is None:
        return None
    print(f"The mapping was corrected: {corrected}.")
    return corrected.start, datetime.now(UTC).replace(microsecond=0)


if __name__ == "__main__":
    sys.exit(main())
