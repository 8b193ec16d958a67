"""``make dry-run``: an hourly run of a shop that shows what it would send to REES46, and sends nothing."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rees46_sync.doctor import environment
from rees46_sync.shop.shop_file import load_shops, shops_dir

WRONG_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the shop's hourly DAG by ``airflow dags test``; return its exit code, or 2 if there is no such shop."""
    parser = argparse.ArgumentParser("python -m rees46_sync.doctor.dry_run", description=__doc__)
    parser.add_argument("shop")
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
    test = ["airflow", "dags", "test", f"order_status_sync_{options.shop}", "--conf", '{"dry_run": true}']
    return subprocess.run([sys.executable, "-m", *test], check=False).returncode  # noqa: S603 - our own command


if __name__ == "__main__":
    sys.exit(main())
