"""
``make test-clock``: the tests that read the clock, once at each of some moments at which such tests like to fail.

Each moment is a pytest of its own, whose clock begins there and goes on; so do those of the processes that it starts.
Only the time of day is moved: pauses and timeouts are as long as ever. What is not Python (PostgreSQL, an S3 server)
keeps the machine's clock, so a test that compares it with ours stays out.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

PROJECT = Path(__file__).resolve().parents[1]
FOLDER = Path(__file__).with_name("moved_clock")
MOVED_BY = "CLOCK_MOVED_BY_S"
BERLIN = ZoneInfo("Europe/Berlin")


@dataclass(frozen=True)
class Moment:
    """
    When a pytest begins.

    :param at: aware; its zone is that of the machine.
    :param quick: whether the short form has it.
    """

    what: str
    at: datetime
    quick: bool = False


MOMENTS = [
    Moment("the hour has begun", datetime(2027, 3, 10, 9, 1, 5, tzinfo=UTC)),
    Moment("half of it is over", datetime(2027, 3, 10, 9, 31, 5, tzinfo=UTC)),
    Moment("the hour ends", datetime(2027, 3, 10, 9, 59, 35, tzinfo=UTC)),
    Moment("the day ends", datetime(2027, 3, 10, 23, 59, 35, tzinfo=UTC)),
    Moment("the month ends, not in UTC", datetime(2026, 2, 28, 23, 59, 35, tzinfo=ZoneInfo("America/New_York"))),
    Moment("the year ends, on a half hour of UTC", datetime(2026, 12, 31, 23, 59, 35, tzinfo=ZoneInfo("Asia/Kolkata"))),
    Moment("29 February ends", datetime(2028, 2, 29, 23, 59, 35, tzinfo=UTC), quick=True),
    Moment("summer time begins", datetime(2027, 3, 28, 1, 59, 35, tzinfo=BERLIN)),
    Moment("the first 02:31 of two", datetime(2026, 10, 25, 2, 31, tzinfo=BERLIN, fold=0)),
    Moment("the second 02:31 of two", datetime(2026, 10, 25, 2, 31, tzinfo=BERLIN, fold=1), quick=True),
]


def is_moved() -> bool:
    """Whether this process has another clock than the machine's servers."""
    return MOVED_BY in os.environ


def environment_at(moment: datetime) -> dict[str, str]:
    """The environment of a Python whose clock begins at a moment, in that moment's time zone."""
    path = [str(FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(path),
        "TZ": str(moment.tzinfo),
        MOVED_BY: str(moment.timestamp() - time.time()),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tests at each moment; return 1 where any failed, or none was run."""
    parser = argparse.ArgumentParser("python -m tests.clock", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the two most telling moments")
    parser.add_argument("pytest_arguments", nargs="*", metavar="-- PYTEST_ARGUMENT")
    options = parser.parse_args(arguments)
    moments = [moment for moment in MOMENTS if moment.quick or not options.quick]
    # The moved clock brings time_machine before pytest, which would have liked to rewrite its asserts.
    quiet = ["-q", "-n", "0", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    command = [sys.executable, "-m", "pytest", *quiet, "-m", "clock and not databases", *options.pytest_arguments]
    red = 0
    for moment in moments:
        done = subprocess.run(
            command, cwd=PROJECT, env=environment_at(moment.at), capture_output=True, text=True, check=False
        )
        red += done.returncode != 0
        summary = (done.stdout.splitlines() or done.stderr.splitlines() or ["nothing"])[-1]
        when = f"{moment.at:%Y-%m-%d %H:%M:%S%z} {moment.at.tzinfo}"
        print(f"{'red  ' if done.returncode else 'green'} {when:42} {moment.what:37} {summary.strip('= ')}", flush=True)
        if done.returncode:
            print(done.stdout + done.stderr, flush=True)
    return bool(red)


if __name__ == "__main__":
    sys.exit(main())
