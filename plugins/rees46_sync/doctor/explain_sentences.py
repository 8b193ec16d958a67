"""The sentences of an explanation, in English or in another language of the catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from rees46_sync.doctor.explain_facts import (
    AS_IN_WAREHOUSE,
    Action,
    Case,
    Decision,
    Explanation,
    Problem,
    WarehouseRow,
)
from rees46_sync.formatting import duration, printable, quoted, timestamp
from rees46_sync.shop.shop import STATUS_NAMES
from rees46_sync.translations import translator

if TYPE_CHECKING:
    from rees46_sync.doctor.explain_ledger import RunRecord

ID_CHARACTERS = 100
"""How much is shown of an order id, and of a value of the warehouse."""


@dataclass(frozen=True)
class Description:
    """
    An explanation in words.

    :param sentence: why the order is, or is not, at REES46 as the warehouse has it.
    :param remedy: what a person does about it; empty if there is nothing to do.
    :param evidence: what that rests on: a heading, and lines.
    :param next_run: what the next run does with the order.
    :param command: what sends it, if the next run does not.
    """

    is_good: bool
    sentence: str
    remedy: str
    evidence: Sequence[tuple[str, Sequence[str]]]
    next_run: str
    command: str | None


class Describer:
    """
    Makes the sentences of an explanation.

    :param shows_messages: whether the words of the warehouse's database are shown: they may name hosts and users.
    """

    def __init__(self, found: Explanation, language: str = "en", *, shows_messages: bool = True) -> None:
        self.found = found
        self.shows_messages = shows_messages
        self._translate = translator(language)
        self._ = self._translate.gettext

    def describe(self) -> Description:
        """Return the explanation in words."""
        return Description(
            is_good=self.found.case in AS_IN_WAREHOUSE,
            sentence=self._sentence(),
            remedy=self._remedy(),
            evidence=[(heading, lines) for heading, lines in self._evidence() if lines],
            next_run=self._next_run(),
            command=self.found.next_run.command,
        )

    def _sentence(self) -> str:
        _, found = self._, self.found
        warehouse, newest = found.warehouse, found.warehouse.newest
        accepted, waiting = found.ledger.accepted, found.ledger.waiting
        values = {
            "id": printable(found.order_id, ID_CHARACTERS),
            "row": self._row(newest) if newest else "",
            "at": self._moment(newest.updated_at if newest else None),
            "status": self._code(newest.code if newest else None),
            "at_rees46": self._code(accepted.code if accepted else None),
            "since": self._moment(accepted.since if accepted else None),
            "version": self._moment(accepted.updated_at if accepted else None),
            "older": self._older(),
            "run": found.run.run_id if found.run else "",
            "cause": (found.run.cause if found.run else "").rstrip("."),
            "reasons": "; ".join(self._meaning(code) for code in warehouse.reasons),
            "words": found.ledger.refused[0].reason if found.ledger.refused else "",
            "asking": waiting.run_id if waiting else "",
            "asked": self._moment(waiting.asked_at if waiting else None),
            "limit": waiting.text if waiting else "",
            "settle": duration(found.settle, _),
            "first": self._moment(found.ledger.coverage.start),
            "gap_start": self._moment(found.gap[0] if found.gap else None),
            "gap_end": self._moment(found.gap[1] if found.gap else None),
        }
        return self._templates()[found.case] % values

    def _templates(self) -> dict[Case, str]:
        """Return the sentence of each case."""
        return {**self._at_rees46(), **self._left_out(), **self._not_sent(), **self._unknown()}

    def _at_rees46(self) -> dict[Case, str]:
        _ = self._
        return {
            Case.SENT: _(
                "REES46 has order %(id)s as %(at_rees46)s, as the warehouse has it (%(row)s), since %(since)s UTC."
            ),
            Case.SUPERSEDED: _(
                "REES46 has order %(id)s as %(at_rees46)s since %(since)s UTC, as its newest row says (%(row)s). That "
                "one supersedes %(older)s."
            ),
            Case.IN_FLIGHT: _(
                "Order %(id)s is in a request that has no answer yet, or whose task was killed: until it is answered, "
                "its status at REES46 is not known."
            ),
            Case.UNCERTAIN: _(
                "It is not certain that REES46 has order %(id)s as %(status)s: a request with it got no clear answer, "
                "or another status went out less than %(settle)s (settle) before."
            ),
        }

    def _left_out(self) -> dict[Case, str]:
        _ = self._
        return {
            Case.FUTURE: _(
                "Order %(id)s was not sent as %(status)s, because its row is dated in the future: %(row)s. A run reads "
                "it when that time has come."
            ),
            Case.REJECTED: _("Order %(id)s was not sent, because its row (%(row)s) is rejected: %(reasons)s."),
            Case.REFUSED: _(
                "Order %(id)s is not sent as %(status)s any more, because REES46 refused it even alone: %(words)s."
            ),
            Case.STALE: _(
                "Order %(id)s was not sent as %(status)s, because its row (%(row)s) is stale: REES46 has a newer "
                "version, %(at_rees46)s of %(version)s UTC."
            ),
            Case.REOPENED: _(
                "Order %(id)s is held back as reopened: REES46 has it as %(at_rees46)s since %(since)s UTC, or may "
                "have it as completed or cancelled, which are final, and its row (%(row)s) means created."
            ),
            Case.CORRECTED: _(
                "Order %(id)s was rejected when run %(run)s read it, and its row (%(row)s) passes the checks now."
            ),
        }

    def _not_sent(self) -> dict[Case, str]:
        _, facts = self._, self.found.ledger
        return {
            Case.WAITING: _(
                "Order %(id)s waits for approval, which run %(asking)s requested at %(asked)s UTC: %(limit)s."
            ),
            Case.LIMIT: _("Order %(id)s was not sent, because a limit stopped run %(run)s: %(cause)s."),
            Case.FAILED: _("Order %(id)s was not sent, because run %(run)s failed: %(cause)s."),
            Case.HELD: _(
                "Order %(id)s was held: run %(run)s was to send only some orders (first_orders or order_ids), and this "
                "one is not among them."
            ),
            Case.LATE: _(
                "Order %(id)s was not sent as %(status)s, although a run has read its time and found it otherwise or "
                "not at all (%(row)s): the row came later, or its status changed and its updated_at did not."
            ),
            Case.DUE: _("Order %(id)s was not sent yet: its row (%(row)s) is newer than what the last run read.")
            if facts.has_runs
            else _("Order %(id)s was not sent yet: no run of the shop has ended."),
            Case.NOT_READ: self._not_read(),
        }

    def _not_read(self) -> str:
        _, found = self._, self.found
        if found.gap:
            return _(
                "Order %(id)s was not sent, because no run has read it: its row (%(row)s) lies in a gap that no run "
                "has delivered, from %(gap_start)s to %(gap_end)s UTC."
            )
        if found.ledger.coverage.start:
            return _(
                "Order %(id)s was not sent, because no run has read it: its row (%(row)s) is older than all that was "
                "read, which is from %(first)s UTC on."
            )
        return _("Order %(id)s was not sent, because no run has read it: no run of the shop has delivered yet.")

    def _unknown(self) -> dict[Case, str]:
        _, is_known = self._, self.found.ledger.accepted is not None
        return {
            Case.UNKNOWN: _(
                "The shop's query returns no row of order %(id)s any more. REES46 has it as %(at_rees46)s since "
                "%(since)s UTC, and keeps it."
            )
            if is_known
            else _("The shop's query returns no row of order %(id)s, and REES46 has accepted nothing of it."),
            Case.NOT_ASKED: _(
                "The warehouse could not be asked about order %(id)s. By the ledger REES46 has it as %(at_rees46)s "
                "since %(since)s UTC."
            )
            if is_known
            else _(
                "The warehouse could not be asked about order %(id)s. By the ledger REES46 has accepted nothing of it."
            ),
        }

    def _remedy(self) -> str:
        _, found = self._, self.found
        match found.case:
            case Case.FAILED | Case.LIMIT:
                return found.run.remedy if found.run else ""
            case Case.WAITING:
                return _("approve or reject it: the task ask_approval of that run in Airflow")
            case Case.FUTURE:
                return _(
                    "correct the time in the warehouse; if it is a time of the shop's own zone, convert it to UTC in "
                    "the query"
                )
            case Case.REJECTED if list(found.warehouse.reasons) == ["status_unmapped"]:
                return _("list the status in %(file)s under created, completed or cancelled") % {"file": found.file}
            case Case.REJECTED:
                return _("correct the row, or the query")
            case Case.REOPENED:
                return _(
                    "if the shop means it, set allow_reopen: true; otherwise correct the status in the warehouse, or "
                    "its mapping"
                )
            case Case.UNKNOWN:
                return _(
                    "ids are compared exactly, upper and lower case and zeros included; see whether the query leaves "
                    "the order out"
                )
            case Case.NOT_ASKED:
                return self._warehouse_problem()
        return ""

    def _warehouse_problem(self) -> str:
        _, warehouse = self._, self.found.warehouse
        match warehouse.problem:
            case Problem.TIMEOUT:
                return _(
                    "the warehouse did not answer in time: an index on the order id, or on updated_at, makes this fast"
                )
            case Problem.BUSY:
                return _("other explanations ask the warehouse at this moment: try again")
            case Problem.FAILED if self.shows_messages:
                return warehouse.message
            case Problem.FAILED:
                return _(
                    "the warehouse does not answer, or refuses the query; its own message is in the api-server's log"
                )
        return ""

    def _evidence(self) -> Iterator[tuple[str, Sequence[str]]]:
        _ = self._
        yield _("Warehouse"), list(self._of_warehouse())
        yield _("REES46"), list(self._of_rees46())
        yield _("Quarantine"), list(self._of_quarantine())
        yield _("Last runs"), [self._of_run(run, decision) for run, decision in self.found.decisions]

    def _of_warehouse(self) -> Iterator[str]:
        _, warehouse = self._, self.found.warehouse
        for row in warehouse.rows:
            place = _("the newest row") if row.is_newest else _("superseded by the newest row")
            yield f"{self._row(row)}: {place}"
        if warehouse.reasons:
            for code in warehouse.reasons:
                yield _("fails the check %(code)s: %(meaning)s") % {"code": code, "meaning": self._meaning(code)}
            yield _("passes the other %(count)s checks") % {"count": warehouse.checks - len(warehouse.reasons)}
        elif warehouse.rows:
            yield _("passes all %(count)s checks") % {"count": warehouse.checks}
        if warehouse.problem:
            yield self._warehouse_problem()
        elif not warehouse.rows:
            yield _("the query returns no row of the order")

    def _of_rees46(self) -> Iterator[str]:
        _, facts = self._, self.found.ledger
        if accepted := facts.accepted:
            yield _("%(status)s since %(since)s UTC; the row of %(at)s UTC, sent by run %(run)s") % {
                "status": self._code(accepted.code),
                "since": timestamp(accepted.since),
                "at": timestamp(accepted.updated_at),
                "run": accepted.run_id,
            }
        else:
            yield _("has accepted nothing of the order")
        if facts.uncertain:
            yield _("uncertain: it may have another status")
        if facts.in_flight:
            yield _("in flight: a request with the order has no answer yet")
        for refused in facts.refused:
            yield _("refused as %(status)s at %(at)s UTC in a batch of %(size)s: %(words)s") % {
                "status": self._code(refused.code),
                "at": timestamp(refused.refused_at),
                "size": refused.batch_size,
                "words": refused.reason,
            }

    def _of_quarantine(self) -> Iterator[str]:
        for row in self.found.ledger.quarantined:
            reasons = "; ".join(self._meaning(code) for code in row.reason.split(", "))
            yield f"{row.status or '-'}, {row.updated_at or '-'}: {reasons} ({timestamp(row.rejected_at)} UTC)"

    def _of_run(self, run: RunRecord, decision: Decision) -> str:
        _ = self._
        span = f"[{timestamp(run.window[0])}, {timestamp(run.window[1])})" if run.window else "-"
        cause = f": {run.cause}" if decision in (Decision.FAILED, Decision.LIMIT) and run.cause else ""
        return f"{run.run_id}, {span}: {self._decision(decision)}{cause}"

    def _decision(self, decision: Decision) -> str:
        _ = self._
        return {
            Decision.SENT: _("REES46 accepted the order in it"),
            Decision.UNCHANGED: _("unchanged, REES46 had this status"),
            Decision.REJECTED: _("rejected"),
            Decision.REOPENED: _("held back as reopened"),
            Decision.STALE: _("stale, REES46 had a newer version"),
            Decision.HELD: _("held, it was to send only some orders"),
            Decision.LIMIT: _("stopped by a limit"),
            Decision.FAILED: _("failed"),
            Decision.BEFORE: _("not read, the row is older than its window"),
            Decision.AFTER: _("not read, the row is newer than what it read"),
            Decision.NOT_FOUND: _("it read this time, and the row was not there or was another one"),
            Decision.UNKNOWN: _("not known without a row"),
        }[decision]

    def _next_run(self) -> str:
        _, next_run, found = self._, self.found.next_run, self.found
        values = {
            "due": timestamp(next_run.due_at),
            "window": str(next_run.window),
            "status": self._code(next_run.code),
            "reasons": "; ".join(self._meaning(code) for code in next_run.reasons),
        }
        text = {
            Action.SEND: _("It is due at %(due)s UTC, reads %(window)s and sends the order as %(status)s."),
            Action.UNCHANGED: _("It is due at %(due)s UTC, reads %(window)s and finds the order unchanged."),
            Action.STALE: _("It is due at %(due)s UTC, reads %(window)s and leaves the row out as stale."),
            Action.REOPENED: _("It is due at %(due)s UTC, reads %(window)s and holds the order back as reopened."),
            Action.REJECTED: _("It is due at %(due)s UTC, reads %(window)s and rejects the row: %(reasons)s."),
            Action.REFUSED: _(
                "It is due at %(due)s UTC, reads %(window)s and does not send what REES46 refused alone."
            ),
            Action.NOT_READ: _("It is due at %(due)s UTC and does not read the order: its window is %(window)s."),
            Action.UNKNOWN: _(
                "It is due at %(due)s UTC and reads %(window)s; the warehouse did not say what is in it."
            ),
        }[next_run.action] % values
        if next_run.action is Action.SEND and found.case is Case.LIMIT:
            text += _(" But if the run as a whole exceeds the limit again, it sends nothing.")
        if next_run.action is Action.SEND and found.case is Case.FAILED:
            text += _(" It fails in the same way unless the cause is mended.")
        if next_run.command:
            text += _(" This sends it:")
        return text

    def _row(self, row: WarehouseRow) -> str:
        code = f" → {self._code(row.code)}" if row.code is not None else ""
        at = timestamp(row.updated_at) + " UTC" if row.updated_at else self._text(row.text)
        return f"{self._text(row.status)}{code}, {at}"

    def _older(self) -> str:
        return "; ".join(self._row(row) for row in self.found.warehouse.rows if not row.is_newest)

    def _text(self, text: str | None) -> str:
        _ = self._
        return _("nothing") if text is None else quoted(text, ID_CHARACTERS)

    def _moment(self, moment: datetime | None) -> str:
        _ = self._
        return timestamp(moment) if moment else _("unknown")

    def _code(self, code: int | None) -> str:
        _ = self._
        names = dict(enumerate((_("created"), _("completed"), _("cancelled"))))
        assert len(names) == len(STATUS_NAMES)
        return _("nothing") if code is None else names.get(code, str(code))

    def _meaning(self, code: str) -> str:
        from rees46_sync.ledger.quarantine import MEANINGS
        from rees46_sync.validation.expectations import REASONS

        return self._((REASONS | MEANINGS).get(code, code))
