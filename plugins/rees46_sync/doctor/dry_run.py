"""
``make dry-run``: a run of a shop that shows what it would send to REES46, and sends nothing.

``make remap`` is one over all that was sent by an earlier mapping of the shop file; after it comes the command that
sends. Only the account is printed; Airflow's own log goes to a file.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rees46_sync.doctor import environment
from rees46_sync.doctor.findings import Surroundings, no_surroundings
from rees46_sync.exceptions import SyncError
from rees46_sync.formatting import escape_unprintable
from rees46_sync.monitoring.gaps import closing_command
from rees46_sync.shop.shop_file import load_shops, shops_dir

if TYPE_CHECKING:
    from rees46_sync.ledger.coverage import Span
    from rees46_sync.shop.shop import Shop

FAILED, WRONG_USAGE = 1, 2
MAX_WIDTH = 110
"""Columns of the account, as in the log of a task."""

READABLE_LOG = {
    # INFO has the account. At DEBUG, Airflow's dags test prints the passwords of connections.
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
    "AIRFLOW__LOGGING__NAMESPACE_LEVELS": "",
    "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
    "AIRFLOW__LOGGING__JSON_LOGS": "False",
}


def main(arguments: Sequence[str] | None = None, surroundings: Surroundings = no_surroundings) -> int:
    """
    Run the shop's hourly DAG by ``airflow dags test``, and print its account.

    :param surroundings: entered for the shop meanwhile.
    :return: its exit code; 2 if there is no such shop, 1 if its ledger does not say what an earlier mapping has sent.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.until and not options.since:
        parser.error("--to is the end of a window: name its start as well (make dry-run FROM=… TO=…)")
    environment.read_env_file(options.env_file)
    shop = find_shop(options.shop)
    if shop is None:
        return WRONG_USAGE
    with surroundings(shop):
        if not options.remap:
            window = (options.since, options.until or datetime.now(UTC)) if options.since else None
            return _dry_run(shop.shop, window)[0]
        try:
            gap = _remapped_span(shop)
        except SyncError as problem:
            print(problem, file=sys.stderr)
            return FAILED
        if gap is None:
            print("Everything that was sent is as the shop file maps it now.")
            return 0
        code, orders = _dry_run(shop.shop, gap)
        if code == 0:
            print("This sends it, and stops if more orders would change:")
            print(closing_command(shop.shop, gap, orders))
        return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m rees46_sync.doctor.dry_run", description=__doc__)
    parser.add_argument("shop")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--remap", action="store_true", help="over all that was sent by an earlier mapping")
    what.add_argument("--from", dest="since", type=moment, metavar="TIME", help="read what changed from here on")
    parser.add_argument("--to", dest="until", type=moment, metavar="TIME", help="and before this (now)")
    parser.add_argument(
        "--env-file", type=Path, default=environment.PROJECT / ".env", help="variables for Airflow (.env)"
    )
    return parser


def find_shop(name: str) -> Shop | None:
    """Return the shop of this name; if it cannot be used, print which can, and return None."""
    folder = shops_dir(environment.PROJECT)
    shops, errors = load_shops(folder)
    for shop in shops:
        if shop.shop == name:
            return shop
    known = ", ".join(shop.shop for shop in shops) or "none"
    print(f"There is no shop {name!r} in {folder} that can be used; its shops: {known}.", file=sys.stderr)
    for error in errors:
        print(error, file=sys.stderr)
    return None


def find_connection(conn_id: str) -> str | None:
    """Return a connection as JSON, wherever Airflow has it from; if there is none, print why, and return None."""
    from rees46_sync.airflow_adapters.connections import get_connection

    try:
        with environment.stored_connections():
            return get_connection(conn_id).as_json()
    except SyncError as problem:
        print(problem, file=sys.stderr)
        return None


def moment(text: str) -> datetime:
    """
    Return the date and time of an option; without a zone it is UTC.

    :raises argparse.ArgumentTypeError: the text is none.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a date and time: write 2026-01-31 or 2026-01-31T08:00:00, in UTC"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _dry_run(shop: str, window: Span | None) -> tuple[int, int]:
    """Run the DAG, print its account, and return the exit code and how many orders would be sent."""
    conf: dict[str, object] = {"dry_run": True}
    if window:
        conf |= dict(zip(("window_start", "window_end"), (moment.isoformat() for moment in window), strict=True))
    log = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser() / "logs" / f"dry-run-{shop}.log"
    code = run_dag(f"order_status_sync_{shop}", conf, log, os.environ | _of_private_airflow())
    account = account_in(log)
    print(account or f"There is no account. The last line of Airflow's log:\n{_last_line(log)}")
    if code:
        print(f"The dry run failed; Airflow's log: {log}", file=sys.stderr)
    would_send = re.search(r"'would_send': (\d+)", log.read_text(errors="replace"))
    return code, int(would_send[1]) if would_send else 0


def run_dag(dag_id: str, conf: Mapping[str, object], log: Path, variables: Mapping[str, str]) -> int:
    """
    Run a DAG once, without a scheduler, and say which task it is at and what is tried again; return the exit code.

    :param log: the file for all output; created anew, for its owner alone.
    :param variables: the environment. The account becomes as wide as the terminal of this process.
    """
    from rich.console import Console

    console = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    command = [sys.executable, "-m", "airflow", "dags", "test", dag_id, "--conf", json.dumps(conf)]
    environ = {**variables, **READABLE_LOG, "COLUMNS": str(account_width())}
    with (
        os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file,
        console.status("Airflow is starting") as status,
        subprocess.Popen(  # noqa: S603 - our own command
            command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                file.write(line)
                if task := re.search(r"\[DAG TEST\] starting task_id=(\w+)", line):
                    status.update(f"Airflow is running {task[1]}")
                elif failure := re.search(r"action=retry .*?reason=(['\"])(.*)\1", line):
                    console.print(f"{escape_unprintable(failure[2])}\nIt will be tried again; Airflow's log: {log}")
        finally:
            # After Ctrl-C nothing may continue to write to files that the next run creates anew.
            if process.poll() is None:
                process.kill()
    return process.returncode


def account_width() -> int:
    """Return the columns for an account: those of the terminal, in a pipe as many as in the log of a task."""
    return min(shutil.get_terminal_size((MAX_WIDTH, 0)).columns, MAX_WIDTH)


def account_in(log: Path) -> str:
    """Return the account as the task account_for_rows logged it; empty if it did not."""
    text = log.read_text(errors="replace")
    logged = re.search(r"(Account of .*?) *\[rees46_sync\.pipeline\.account_for_rows\]", text, re.DOTALL)
    return logged[1] if logged else ""


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return escape_unprintable(lines[-1]) if lines else "(none)"


def _of_private_airflow() -> dict[str, str]:
    """
    Return the variables of the private Airflow, with the connections of the ``make up`` that runs; none if none runs.

    Its scheduler would take up the tasks of a run in its own database.
    """
    home = Path(os.environ.get("AIRFLOW_HOME", ""))
    if home != environment.HOME or not environment.variables_of_up(home):
        return {}
    with environment.stored_connections():
        from airflow.models import Connection
        from airflow.utils.session import create_session

        with create_session() as session:
            stored = {f"AIRFLOW_CONN_{one.conn_id.upper()}": one.as_json() for one in session.query(Connection)}
    return {name: value for name, value in stored.items() if name not in os.environ} | {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db"
    }


def _remapped_span(shop: Shop) -> Span | None:
    """Return the span of all that an earlier mapping has sent, and print what was corrected; None if there is none."""
    with environment.stored_connections():
        from rees46_sync.ledger.database import Ledger
        from rees46_sync.ledger.mappings import corrected_mapping

        ledger = Ledger.open(shop.ledger_conn_id)
    corrected = corrected_mapping(ledger, shop.shop, shop.codes)
    if corrected is None:
        return None
    print(f"The mapping was corrected: {corrected}.", flush=True)
    return corrected.start, datetime.now(UTC).replace(microsecond=0)


if __name__ == "__main__":
    sys.exit(main())
