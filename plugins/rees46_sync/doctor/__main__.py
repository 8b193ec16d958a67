"""``python -m rees46_sync.doctor [SHOP]``: the command line of the doctor."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from rees46_sync.doctor import environment
from rees46_sync.doctor.findings import Level, Surroundings, no_surroundings, worst
from rees46_sync.exceptions import ShopFileError, SyncError
from rees46_sync.shop.shop import Duration, Shop
from rees46_sync.shop.shop_file import load_shops, shops_dir

HEALTHY, UNWELL, WRONG_USAGE = 0, 1, 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None, surroundings: Surroundings = no_surroundings) -> int:
    """
    Examine one shop, or all of them, compare a shop's warehouse with its ledger, or explain an order; print the report.

    :param surroundings: entered for each shop while it is examined.
    :return: the exit code.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.reconcile and not options.shop:
        parser.error("--reconcile compares one shop: name it after the span, as in --reconcile 90d myshop")
    if options.explain is not None and not options.shop:
        parser.error("--explain is about one shop: name it after the order, as in --explain 100123 myshop")
    environment.configure_environment(options.env_file)
    folder = shops_dir(environment.PROJECT)
    with _stdout_redirected():
        shops, errors = load_shops(folder)
    if options.shop:
        known = ", ".join(shop.shop for shop in shops) or "none"
        shops, errors = _select(options.shop, folder, shops, errors)
        if not shops and not errors:
            print(f"There is no shop {options.shop!r} in {folder}; its shops: {known}.", file=sys.stderr)
            return WRONG_USAGE
    if options.reconcile:
        return _reconcile(options, shops, errors, surroundings)
    if options.explain is not None:
        return _explain(options, shops, errors, surroundings)
    with _stdout_redirected():
        # Airflow is not imported for a wrong command line.
        from rees46_sync.doctor import checks, report, vanished

        reports = [checks.report_broken_file(error) for error in errors]
        reports += [
            report.without_secrets(checks.examine(shop, options.days, surroundings, options.entity)) for shop in shops
        ]
        if not options.shop:
            reports += vanished.examine_all(folder, shops, errors, surroundings)
    if options.json:
        print(report.as_json(reports))
    elif _is_terminal():
        report.show(reports)
    else:
        print(report.as_text(reports), end="")
    level = worst(finding for one in reports for finding in one.findings)
    return UNWELL if level is Level.ERROR or (options.strict and level is Level.WARNING) else HEALTHY


def _reconcile(
    options: argparse.Namespace, shops: Sequence[Shop], errors: Sequence[ShopFileError], surroundings: Surroundings
) -> int:
    """Compare the one shop's warehouse with its ledger; return the exit code, 2 if they could not be compared."""
    from rees46_sync.doctor import reconcile, reconcile_report

    try:
        if not shops:
            raise errors[0]
        shop = shops[0]
        with _stdout_redirected(), surroundings(shop):
            found = reconcile.compare(shop, options.reconcile, datetime.now(UTC).replace(microsecond=0))
    except SyncError as error:
        print(error, file=sys.stderr)
        return WRONG_USAGE
    if options.json:
        print(reconcile_report.as_json(shop, found))
    elif _is_terminal():
        reconcile_report.show(shop, found)
    else:
        print(reconcile_report.as_text(shop, found), end="")
    return UNWELL if found.differs else HEALTHY


def _explain(
    options: argparse.Namespace, shops: Sequence[Shop], errors: Sequence[ShopFileError], surroundings: Surroundings
) -> int:
    """Explain one order of the one shop; return the exit code, 2 if the ledger could not be read."""
    from rees46_sync.doctor import explain_report
    from rees46_sync.doctor.explain import explain
    from rees46_sync.doctor.explain_facts import AS_IN_WAREHOUSE
    from rees46_sync.doctor.reconcile import check_tables

    try:
        if not shops:
            raise errors[0]
        shop = shops[0]
        with _stdout_redirected(), surroundings(shop):
            check_tables(shop)
            found = explain(shop, options.explain, datetime.now(UTC))
    except SyncError as error:
        print(error, file=sys.stderr)
        return WRONG_USAGE
    print(explain_report.as_json(found) if options.json else explain_report.as_text(found), end="")
    return HEALTHY if found.case in AS_IN_WAREHOUSE else UNWELL


def _is_terminal() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m rees46_sync.doctor",
        description="Report what works for a shop, what does not, and what to do. Posts nothing.",
        epilog="Exit code: 0 without errors, 1 with errors, 2 for a wrong command line. With --reconcile: 0 if nothing "
        "differs, 1 if something does, 2 if it could not be compared. With --explain: 0 if REES46 has the order as the "
        "warehouse has it, 1 if not, 2 if the ledger could not be read.",
    )
    parser.add_argument("shop", nargs="?", help="the shop's name; all shops of the shops folder if not given")
    parser.add_argument("--days", type=_days, default=1, help="how many days of orders are read and validated (1)")
    parser.add_argument(
        "--entity",
        metavar="COLUMN",
        help="a column of the query that tells stores apart, such as store_id: report order ids that several of them "
        "have",
    )
    parser.add_argument(
        "--reconcile",
        metavar="SPAN",
        type=_span,
        help="compare what changed in this time, such as 90d, in the warehouse with what REES46 has, instead",
    )
    parser.add_argument(
        "--explain",
        metavar="ORDER",
        help="say why this order is, or is not, at REES46 as the warehouse has it, and what the next run does, instead",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--strict", action="store_true", help="exit with 1 for warnings as well")
    parser.add_argument(
        "--env-file", type=Path, default=environment.PROJECT / ".env", help="variables for Airflow (.env)"
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


def _span(text: str) -> timedelta:
    try:
        span: timedelta = TypeAdapter(Duration).validate_python(text)
    except ValidationError:
        span = timedelta(0)
    if not span:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number and s, m, h, d or w, such as 90d, up to 3660d")
    return span


def _select(
    name: str, folder: Path, shops: Sequence[Shop], errors: Sequence[ShopFileError]
) -> tuple[list[Shop], list[ShopFileError]]:
    """Return the shop of this name, or the errors of the file that has this name, or whose key ``shop`` has it."""
    line = re.compile(rf"""^shop:\s*["']?{re.escape(name)}["']?\s*(#.*)?$""", re.MULTILINE)

    def matches(error: ShopFileError) -> bool:
        file = folder / error.file
        return file.stem == name or (file.is_file() and bool(line.search(file.read_text("utf-8", "replace"))))

    return [shop for shop in shops if shop.shop == name], [error for error in errors if matches(error)]


@contextmanager
def _stdout_redirected() -> Iterator[None]:
    """Send what libraries print, C libraries included, to stderr: only the report goes to stdout."""
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
