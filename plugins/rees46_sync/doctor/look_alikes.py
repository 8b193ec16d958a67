"""Order ids and statuses that look right and are not: what to look for, counted with examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rees46_sync.doctor.findings import Finding, ok, warning

if TYPE_CHECKING:
    import pyarrow as pa

MAX_EXAMPLES = 10
MAX_CHARACTERS = 100
"""Examples of a finding, and how much of each: enough to see what they have in common."""

_BLANK, _OTHER = r"[\s\p{Z}]", r"[^\s\p{Z}]"

ID_KINDS = {
    "ids.blank_ends": (
        f"^{_BLANK}+{_OTHER}|{_OTHER}{_BLANK}+$",
        "have blanks at an end",
        "trim them in the query, unless the shop's tracking sends these blanks to REES46, too",
    ),
    "ids.quoted": (
        r"""^("(?s:.*)"|'(?s:.*)')$""",
        "are in quotes",
        "return the text without its quotes, such as by ->> or JSON_UNQUOTE in place of JSON_EXTRACT",
    ),
    "ids.exponent": (
        r"^[+-]?(\d+\.\d*[eE][+-]?|\d+[eE]\+|\d[eE])\d+$",
        "look like numbers with an exponent",
        "store or cast them as integers or texts, not as floating point numbers, which may have lost digits",
    ),
    "ids.invisible": (
        r"[\p{Cf}\p{Co}\p{Zl}\p{Zp}\x{a0}\x{1680}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}]",
        "have characters that are not visible, or look like a blank",
        "remove them in the query, unless the shop's tracking sends them to REES46, too",
    ),
}
"""What an order id may look like (RE2), in words, and the remedy."""


class OddIds:
    """Counts odd order ids, some at a time, and keeps a few examples of each kind."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {check: [] for check in ID_KINDS}

    def add(self, ids: pa.ChunkedArray) -> None:
        """Look at some order ids; each order occurs once."""
        import pyarrow.compute as pc

        for check, (pattern, _, _) in ID_KINDS.items():
            odd = ids.filter(pc.match_substring_regex(ids, pattern))
            self.counts[check] += len(odd)
            self.examples[check] += odd.slice(0, MAX_EXAMPLES - len(self.examples[check])).to_pylist()

    def findings(self) -> Iterator[Finding]:
        """Return a warning for each kind that occurs."""
        for check, (_, words, remedy) in ID_KINDS.items():
            if count := self.counts[check]:
                examples = [text[:MAX_CHARACTERS] for text in self.examples[check]]
                value = f"{count:,} order ids {words}, for example {show(examples)}"
                yield warning(check, value, remedy, orders=count, examples=examples)


@dataclass(frozen=True)
class Spellings:
    """How many order ids occur in upper and lower case, and some of them, each in two spellings."""

    count: int = 0
    examples: Sequence[tuple[str, str]] = ()

    def findings(self) -> Iterator[Finding]:
        """Return a warning if there are any."""
        if self.count:
            examples = [(one[:MAX_CHARACTERS], other[:MAX_CHARACTERS]) for one, other in self.examples]
            shown = ", ".join(f"{one!r} and {other!r}" for one, other in examples)
            yield warning(
                "ids.case",
                f"{self.count:,} order ids occur in several spellings that differ in upper and lower case only, for "
                f"example {shown}",
                "for REES46 these are different orders: if they are one, write the id in the query as the shop's "
                "tracking sends it",
                orders=self.count,
                examples=examples,
            )


def find_spellings(folder: Path) -> Spellings:
    """
    Find order ids that differ in upper and lower case only, in memory that does not grow with the number of orders.

    :param folder: of staged partitions; temporary files are written into it.
    """
    from rees46_sync.warehouse.newest import bounded_duckdb

    files = {"files": f"{folder}/partition-*.parquet"}
    with bounded_duckdb(folder) as db:
        db.execute(
            "CREATE TABLE several AS SELECT lower(order_id) AS id FROM (SELECT DISTINCT order_id FROM "
            "read_parquet($files) WHERE lower(order_id) <> upper(order_id)) GROUP BY id HAVING count(*) > 1",
            files,
        )
        count = len(db.table("several"))
        examples = db.execute(
            "SELECT min(order_id), max(order_id) FROM read_parquet($files) WHERE lower(order_id) IN "
            "(SELECT id FROM several ORDER BY id LIMIT $most) GROUP BY lower(order_id) ORDER BY lower(order_id)",
            {**files, "most": MAX_EXAMPLES},
        ).fetchall()
    return Spellings(count, examples)


def invisible_in_statuses(statuses: Mapping[str, int], mapped: Collection[str]) -> Iterator[Finding]:
    """
    Return a finding about statuses that hold characters that are not visible, or look like a blank.

    It is a warning unless the shop file maps all of them, exactly as they are.

    :param statuses: the number of orders of each status.
    """
    odd = [status for status in statuses if not status.isprintable()]
    if not odd:
        return
    examples = [status[:MAX_CHARACTERS] for status in odd[:MAX_EXAMPLES]]
    value = f"{len(odd):,} statuses have characters that are not visible, for example {show(examples)}"
    orders = sum(statuses[status] for status in odd)
    if set(odd) <= set(mapped):
        yield ok("status.invisible", f"{value}; all of them are mapped", orders=orders, examples=examples)
    else:
        remedy = "remove these characters in the query, or map the statuses as they are"
        yield warning("status.invisible", value, remedy, orders=orders, examples=examples)


def show(texts: Iterable[str]) -> str:
    """Return texts in a row, each with what is not visible escaped."""
    return ", ".join(map(repr, texts))
