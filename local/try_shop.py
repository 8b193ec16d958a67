"""
One's own shop against the sandbox (``make try``): a run as Airflow would make it, of which REES46 learns nothing.

The run reads the real warehouse. Its REES46 is a sandbox; its ledger, its staged files and Airflow's database are in a
temporary folder. Its connections have ids of their own, so that nothing configured elsewhere can name the real ones,
and it is not given the settings of the caller's Airflow. It alerts nobody.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from local.doctor import demo_surroundings
from local.home import keep_private
from rees46_sync.doctor import environment
from rees46_sync.doctor.dry_run import FAILED, WRONG_USAGE, account_in, find_connection, find_shop, moment, run_dag
from rees46_sync.sandbox.server import Sandbox, running
from rees46_sync.shop.statuses import STATUS_NAMES

if TYPE_CHECKING:
    from rees46_sync.shop.shop import Shop

WAREHOUSE, LEDGER, REES46 = "rees46_try_warehouse", "rees46_try_ledger", "rees46_try"
"""The ids of the run's connections."""


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the shop's hourly DAG once, then print its account and what the sandbox received.

    :return: 0; 1 if the run failed or the sandbox was sent something invalid; 2 if there is no such shop.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.until and not options.since:
        parser.error("--to is the end of a window: name its start as well (make try FROM=… TO=…)")
    environment.configure_environment(options.env_file)
    shop = find_shop(options.shop)
    if shop is None:
        return WRONG_USAGE
    conf = {}
    if options.since:
        window = (options.since, options.until or datetime.now(UTC))
        conf = dict(zip(("window_start", "window_end"), (time.isoformat() for time in window), strict=True))
    with demo_surroundings(shop):
        warehouse = find_connection(shop.warehouse_conn_id)
    if warehouse is None:
        return FAILED
    log = environment.HOME / "logs" / f"try-{shop.shop}.log"
    print(f"A run of {shop.shop} with a sandbox as its REES46, and an empty ledger …", flush=True)
    with tempfile.TemporaryDirectory(prefix="rees46-try-") as name, running("try-key", "try-secret") as sandbox:
        variables = _variables(Path(name), shop, warehouse, sandbox)
        code = run_dag(f"order_status_sync_{shop.shop}", conf, log, variables)
        _print_result(account_in(log), log, sandbox)
    if code:
        print(f"The run failed; Airflow's log: {log}", file=sys.stderr)
    return FAILED if code or sandbox.stats()["violations"] else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m local.try_shop", description="A shop's run against the sandbox.")
    parser.add_argument("shop")
    parser.add_argument("--from", dest="since", type=moment, metavar="TIME", help="read what changed from here on")
    parser.add_argument("--to", dest="until", type=moment, metavar="TIME", help="and before this (now)")
    parser.add_argument(
        "--env-file", type=Path, default=environment.PROJECT / ".env", help="variables for Airflow (.env)"
    )
    return parser


def shop_file(shop: Shop) -> str:
    """Return the shop file of the run; what does not lead to the outside stays as it was written."""
    changes: dict[str, object] = {
        "warehouse_conn_id": WAREHOUSE,
        "ledger_conn_id": LEDGER,
        "rees46_conn_id": REES46,
        "query": str(shop.query),
        "loaded_until": str(shop.loaded_until) if shop.loaded_until else None,
        "staging": None,
        "feed_asset": None,
        "on_limit": "fail",  # nobody would be asked
        "notify": [],
    }
    text = shop.file.read_text("utf-8")
    node = _compose(text)
    if node.flow_style:
        kept = [(key, value) for key, value in node.value if key.value not in changes]
        node.value = kept + _compose(json.dumps(changes)).value
        return str(yaml.serialize(node, Dumper=yaml.BaseDumper, allow_unicode=True))
    # Line by line: the account names lines to add, with the blanks that they need in this file.
    lines = text.splitlines(keepends=True)
    starts = [key.start_mark.line for key, _ in node.value]
    texts = ["".join(lines[start:end]) for start, end in zip(starts, [*starts[1:], len(lines)], strict=True)]
    own = [text for text, (key, _) in zip(texts, node.value, strict=True) if key.value not in changes]
    return "".join([*lines[: starts[0]], *own, "\n", yaml.safe_dump(changes)])


def _compose(text: str) -> yaml.MappingNode:
    node = yaml.compose(text, yaml.BaseLoader)
    assert isinstance(node, yaml.MappingNode)  # the shop was loaded
    return node


def _variables(folder: Path, shop: Shop, warehouse: str, sandbox: Sandbox) -> Mapping[str, str]:
    """Prepare the run's folder; return its environment."""
    shops = folder / "shops"
    shops.mkdir()
    (shops / shop.file.name).write_text(shop_file(shop), "utf-8")
    with (
        closing(sqlite3.connect(f"{(environment.HOME / 'airflow.db').as_uri()}?mode=ro", uri=True)) as prepared,
        closing(sqlite3.connect(folder / "airflow.db")) as database,
    ):
        prepared.backup(database)
    rees46 = {
        "conn_type": "rees46",
        "host": sandbox.host,
        "port": sandbox.port,
        "schema": "http",
        "login": sandbox.shop_id,
        "password": sandbox.shop_secret,
    }
    others = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "_AIRFLOW", "REES46"))
    }
    return others | {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW_CONFIG": str(environment.HOME / "airflow.cfg"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(folder / "logs"),
        "REES46_SHOPS_DIR": str(shops),
        f"AIRFLOW_CONN_{WAREHOUSE.upper()}": warehouse,
        f"AIRFLOW_CONN_{LEDGER.upper()}": json.dumps({"conn_type": "sqlite", "host": str(folder / "ledger.db")}),
        f"AIRFLOW_CONN_{REES46.upper()}": json.dumps(rees46),
    }


def _print_result(account: str, log: Path, sandbox: Sandbox) -> None:
    stats = sandbox.stats()
    statuses = Counter(sandbox.state().values())
    received = {
        "requests": stats["requests"],
        **{f"orders {name}": statuses[code] for code, name in enumerate(STATUS_NAMES)},
        "invalid requests": sum(stats["violations"].values()),
    }
    print(account or f"There is no account; see {log}.")
    print("\nReceived by the sandbox:")
    for what, count in received.items():
        print(f"  {what:<17}{count:>9,}")
    for violation, count in stats["violations"].items():
        print(f"  invalid: {violation} ({count})")
    print("REES46 itself and the shop's own ledger were not touched.")


if __name__ == "__main__":
    keep_private()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
