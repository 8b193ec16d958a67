"""
The request for a person's approval, where a limit is reached and the shop file says ``on_limit: ask``.

It shows what is known of the reading, as Markdown that Airflow's UI renders; in lists, because in its narrow panel the
last column of a table is out of sight. What is approved is this reading: the orders to be sent stand in the question
itself, so that an answer cannot carry over to another one.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, TypedDict

from rees46_sync.pipeline import preview
from rees46_sync.pipeline.account_for_rows import reasons_of
from rees46_sync.shop.shop import STATUS_NAMES, Shop

_UNITS = {"hours": 3600, "minutes": 60, "seconds": 1}


class Question(TypedDict):
    """
    What a person is asked.

    :param extraction_id: the reading of the warehouse that it is about.
    :param figures: in a line, what is over which limit.
    :param batches: what approval lets go out: descriptors of partitions.
    """

    extraction_id: str
    figures: str
    subject: str
    body: str
    batches: list[Any]


def question_of(
    shop: Shop,
    counters: Mapping[str, float],
    exceeded: Sequence[str],
    figures: str,
    judged: Sequence[Mapping[str, Any]],
    built: Sequence[Mapping[str, Any]],
) -> Question:
    """
    Put a question.

    :param counters: the run's value of each limit.
    :param exceeded: the names of the limits that are reached.
    :param figures: the same in words.
    :param judged, built: what became of the partitions; their previews become examples.
    """
    reading = judged[0]["reading"]
    by_status = sum((Counter(batches["by_status"]) for batches in built), Counter[str]())
    start, end = (reading[name][:19].replace("T", " ") for name in ("window_start", "window_end"))
    lines = [
        f"The run of **{shop.shop}** over `[{start}, {end})` UTC read {reading['read']:,} rows and reaches a limit.",
        "",
        *(
            f"- {name}: **{_figure(counters[name])}**, allowed {_figure(getattr(shop.limits, name))}"
            for name in exceeded
        ),
        "",
        "To be sent:",
        "",
        *(f"- {name}: {by_status[str(code)]:,}" for code, name in enumerate(STATUS_NAMES)),
        "",
    ]
    if reasons := reasons_of(judged).most_common(5):
        lines += ["Rejected rows by reason:", "", *(f"- {code}: {count:,}" for code, count in reasons), ""]
    if by_status.total():
        lines += ["~~~~text", _examples([batches["preview"] for batches in built if batches["preview"]]), "~~~~", ""]
    lines.append(
        "**Approve** sends these orders, which can start REES46's marketing messages. **Reject**, or no answer within "
        f"{_words(shop.approval_timeout)}, sends nothing: the run fails, and the next one asks about what it reads."
    )
    return Question(
        extraction_id=reading["extraction_id"],
        figures=figures,
        subject=f"Shop {shop.shop}: {figures}. Send all the same?",
        body="\n".join(lines),
        batches=[{**batches, "preview": None} for batches in built if batches["orders"]],
    )


def _examples(previews: Sequence[preview.Preview]) -> str:
    """Return the tables that a dry run shows. No line of theirs can end the block that they stand in."""
    from rich.console import Console

    out = io.StringIO()
    console = Console(file=out, width=110, highlight=False, markup=False, emoji=False)
    for table in preview.tables(previews):
        console.print(table)
    return out.getvalue().strip("\n")


def _figure(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def _words(duration: timedelta) -> str:
    seconds = duration.total_seconds()
    return next(f"{seconds / long:g} {unit}" for unit, long in _UNITS.items() if seconds >= long)
