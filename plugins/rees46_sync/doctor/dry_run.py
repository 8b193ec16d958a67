"""``make dry-run``: an hourly run of a shop that shows what would go to REES46, and sends nothing."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rees46_sync.doctor import environment as surroundings
from rees46_sync.shop.shop import load_shops, shops_dir

WRONG_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the shop's hourly DAG by ``airflow dags test``; return its exit code, 2 where there is no such shop."""
    parser = argparse.ArgumentParser("python -m rees46_sync.doctor.dry_run", description=__doc__)
    parser.add_argument("shop")
    parser.add_argument(
        "--env-file", type=Path, default=surroundings.PROJECT / ".env", help="variables for Airflow (.env)"
    )
    options = parser.parse_args(arguments)
    surroundings.read(options.env_file)
    folder = shops_dir(surroundings.PROJECT)
    shops, faults = load_shops(folder)
    names = [shop.shop for shop in shops]
    if options.shop not in names:
        known = ", ".join(names) or "none"
        print(f"There is no shop {options.shop!r} in {folder} that can be used; its shops: {known}.", file=sys.stderr)
        for fault in faults:
            print(fault, file=sys.stderr)
        return WRONG_USAGE
    test = ["airflow", "dags", "test", f"order_status_sync_{options.shop}", "--conf", '{"dry_run": true}']
    return subprocess.run([sys.executable, "-m", *test], check=False).returncode  # noqa: S603 - our own command


if __name__ == "__main__":
    sys.exit(main())
