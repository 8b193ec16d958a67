"""The result of a comparison for the page, in the language of its reader."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from rees46_sync.doctor.reconcile import DIFFERENCES, MAX_EXAMPLES, Kind, Reconciliation, compare
from rees46_sync.doctor.reconcile_report import MEANINGS, REMEDIES, ROW_KINDS, by_day, commands
from rees46_sync.formatting import printable, timestamp
from rees46_sync.shop.shop import Shop
from rees46_sync.translations import translator

ID_CHARACTERS = 100


def _(text: str) -> str:
    """Mark a text for the catalogue; it is translated when it is shown."""
    return text


_NAMES = {
    Kind.AGREE: _("agree"),
    Kind.MISSING: _("missing"),
    Kind.DIFFERENT: _("different"),
    Kind.REOPENED: _("reopened"),
    Kind.UNCERTAIN: _("uncertain"),
    Kind.EXTRA: _("extra"),
    Kind.REJECTED: _("rejected"),
    Kind.NOT_DUE: _("not due"),
}


@dataclass(frozen=True)
class ComparedKind:
    """
    The orders of a kind that a comparison has found.

    :param examples: some of them, a line each.
    :param more: how many there are besides.
    """

    name: str
    count: int
    meaning: str
    remedy: str
    examples: Sequence[str]
    more: int


@dataclass(frozen=True)
class Comparison:
    """
    A comparison in words.

    :param notes: what was compared.
    :param header, rows: a table of the days and statuses that differ, and of all together; an empty cell is a zero.
    :param kinds: what was found, but for what agrees.
    :param commands: the one that shows what a run would send, and the one that sends it; none if a run sends nothing.
    """

    differs: bool
    sentence: str
    notes: Sequence[str]
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    kinds: Sequence[ComparedKind]
    commands: Sequence[str]


def compare_for_page(shop: Shop, span: timedelta) -> Callable[[str], Comparison]:
    """
    Compare the warehouse with the ledger, up to now.

    :return: describes the result in a language.
    :raises SyncError: as :func:`rees46_sync.doctor.reconcile.compare`.
    """
    return partial(describe, shop, compare(shop, span, datetime.now(UTC).replace(microsecond=0)))


def describe(shop: Shop, found: Reconciliation, language: str) -> Comparison:
    """Return a comparison in words."""
    texts = translator(language)
    _ = texts.gettext
    differing = sum(found.total(kind) for kind in DIFFERENCES)
    notes = [_("Compared are the orders of %s by updated_at, in the warehouse and at REES46.") % found.window]
    if found.due_before:
        notes.append(
            _("Runs have delivered up to %s UTC; what changed later is not due.") % timestamp(found.due_before)
        )
    return Comparison(
        differs=found.differs,
        sentence=texts.ngettext("%(count)d order differs.", "%(count)d orders differ.", differing)
        % {"count": differing}
        if differing
        else _("Nothing differs."),
        notes=notes,
        header=[_("Day"), _("Status"), *(_(_NAMES[kind]) for kind in ROW_KINDS)],
        rows=_rows(found, _),
        kinds=[_kind(found, kind, _) for kind in ROW_KINDS[1:] if found.total(kind)],
        commands=commands(shop, found) or (),
    )


def _rows(found: Reconciliation, _: Callable[[str], str]) -> list[list[str]]:
    """Return a row for each day and status that differs, the latest first, and one for all together."""

    def row(day: str, status: str, counts: Mapping[Kind, int]) -> list[str]:
        return [day, status, *(f"{counts[kind]:,}" if counts[kind] else "" for kind in ROW_KINDS)]

    shown = [
        row(day or _("unknown"), _(status) if status else "", counts)
        for (day, status), counts in sorted(by_day(found).items(), reverse=True)
        if any(counts[kind] for kind in (*DIFFERENCES, Kind.REJECTED))
    ]
    return [*shown, row(_("all"), "", Counter({kind: found.total(kind) for kind in ROW_KINDS}))]


def _kind(found: Reconciliation, kind: Kind, _: Callable[[str], str]) -> ComparedKind:
    total = found.total(kind)
    examples = []
    for one in found.examples.get(kind, ()):
        order_id = printable(one.order_id, ID_CHARACTERS) or _("no id")
        if kind is Kind.REJECTED:
            sides = [one.warehouse or _("no status"), one.reason]
        else:
            names = ((_("warehouse"), one.warehouse), ("REES46", one.rees46))
            sides = [f"{side} {_(status)}" for side, status in names if status]
        examples.append(f"{order_id}: {', '.join(sides)}")
    return ComparedKind(
        name=_(_NAMES[kind]),
        count=total,
        meaning=_(MEANINGS[kind]),
        remedy=_(REMEDIES[kind]) if kind in REMEDIES else "",
        examples=examples,
        more=max(0, total - MAX_EXAMPLES),
    )
