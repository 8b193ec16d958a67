"""``python -m rees46_sync.doctor [SHOP]``: the command line of the doctor."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rees46_sync.doctor import environment as surroundings
from rees46_sync.doctor.findings import Level, worst
from rees46_sync.exceptions import ShopFileError
from rees46_sync.shop.shop import Shop, load_shops, shops_dir

HEALTHY, UNWELL, WRONG_USAGE = 0, 1, 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Examine one shop, or all of them, and print the report; return the exit code."""
    options = _parser().parse_args(arguments)
    surroundings.settle(options.env_file)
    folder = shops_dir(surroundings.PROJECT)
    with _stdout_kept_clean():
        shops, faults = load_shops(folder)
        if options.shop:
            known = ", ".join(shop.shop for shop in shops) or "none"
            shops, faults = _named(options.shop, folder, shops, faults)
            if not shops and not faults:
                print(f"There is no shop {options.shop!r} in {folder}; its shops: {known}.", file=sys.stderr)
                return WRONG_USAGE
        # Airflow is imported here, and not for a wrong command line.
        from rees46_sync.doctor import checks, report

        reports = [checks.of_broken_file(fault) for fault in faults]
        reports += [report.without_secrets(checks.examine(shop, options.days)) for shop in shops]
    if options.json:
        print(report.as_json(reports))
    elif sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        report.show(reports)
    else:
        print(report.as_text(reports), end="")
    level = worst(finding for one in reports for finding in one.findings)
    return UNWELL if level is Level.ERROR or (options.strict and level is Level.WARNING) else HEALTHY


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m rees46_sync.doctor",
        description="Say what works for a shop, what does not, and what to do. Posts nothing.",
        epilog="Exit code: 0 without errors, 1 with errors, 2 for a wrong command line.",
    )
    parser.add_argument("shop", nargs="?", help="the shop's name; without it every shop of the shops folder")
    parser.add_argument("--days", type=_days, default=1, help="how many days of orders are read and judged (1)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--strict", action="store_true", help="let warnings fail as well")
    parser.add_argument(
        "--env-file", type=Path, default=surroundings.PROJECT / ".env", help="variables for Airflow (.env)"
    )
    return parser


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = 0
    if not 0 < days <= 3660:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days, above 0 and up to 3660")
    return days


def _named(
    name: str, folder: Path, shops: Sequence[Shop], faults: Sequence[ShopFileError]
) -> tuple[list[Shop], list[ShopFileError]]:
    """Return the shop of this name, or what is wrong with the file that is called so, or that names it."""
    line = re.compile(rf"""^shop:\s*["']?{re.escape(name)}["']?\s*(#.*)?$""", re.MULTILINE)

    def is_of(fault: ShopFileError) -> bool:
        file = folder / fault.file
        return file.stem == name or (file.is_file() and bool(line.search(file.read_text("utf-8", "replace"))))

    return [shop for shop in shops if shop.shop == name], [fault for fault in faults if is_of(fault)]


@contextmanager
def _stdout_kept_clean() -> Iterator[None]:
    """Send to stderr what libraries print, in whichever language they are written: stdout is the report's alone."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
