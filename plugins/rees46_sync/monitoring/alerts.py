"""
The alerts of a shop in the ledger: which ones fire, since when, and the outbox of messages about them.

A transition of an alert, and the messages about it, one for each channel, are stored in one transaction. A message
stays in the outbox until it is sent. If it is still pending when the alert changes again, the newer message replaces it
and says since when the alert had fired. So no message is about a state that is over, and each channel gets the latest
state.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, cast

import sqlalchemy as sa

from rees46_sync.ledger.database import Ledger, retry_transaction
from rees46_sync.ledger.tables import alert_messages, alerts
from rees46_sync.shop.channels import Channel, Event

CLAIM = timedelta(minutes=15)
"""How long a claim of a message lasts: much longer than an attempt to send it takes."""

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

Message = dict[str, Any]
"""What is sent about a transition, see :func:`rees46_sync.monitoring.alert_messages.build_message`."""


class AlertName(StrEnum):
    """The alerts of a shop, as the ledger names them."""

    RUN_FAILED = "run_failed"
    HISTORY_RUN_FAILED = "history_run_failed"
    LIMIT_REACHED = "limit_reached"
    REJECTED_SHARE = "rejected_share"
    REOPENED = "reopened"
    FRESHNESS = "freshness"
    VOLUME = "volume"
    LATE_DATA = "late_data"
    SLOW_RUN = "slow_run"
    LEDGER = "ledger"
    DIFFERENCES = "differences"

    @property
    def event(self) -> Event:
        """The event of the shop file's ``notify`` that it belongs to."""
        name = AlertName.RUN_FAILED if self is AlertName.HISTORY_RUN_FAILED else self
        return cast("Event", name.value)


@dataclass(frozen=True)
class AlertEvaluation:
    """
    The evaluation of one alert.

    :param firing: whether it fires.
    :param as_of: the moment that it was evaluated for; it changes nothing after an evaluation for a later moment.
    :param summary: the result, a sentence or two; no rows, no secrets.
    :param remedy: what a person does about it while it fires.
    :param metrics: the numbers of the summary, for machines.
    :param dag_id, run_id: the run that it is about; None if it is about none.
    :param cause: what identifies the cause while it fires; empty if the alert has no causes to tell apart.
    """

    alert: AlertName
    firing: bool
    as_of: datetime
    summary: str
    remedy: str
    metrics: Mapping[str, float | str | None]
    dag_id: str | None = None
    run_id: str | None = None
    cause: str = ""


@dataclass(frozen=True)
class AlertTransition:
    """
    An alert that started or stopped firing, or fires for another cause.

    :param fired_at: when it started.
    :param at: when it changed.
    :param has_fired: whether it fired before.
    """

    evaluation: AlertEvaluation
    fired_at: datetime
    at: datetime
    has_fired: bool = False

    @property
    def state(self) -> str:
        """``fired``, ``recovered``, or ``changed`` if it goes on for another cause."""
        if not self.evaluation.firing:
            return "recovered"
        return "changed" if self.has_fired else "fired"


class Alerts:
    """The alerts of one shop."""

    def __init__(self, ledger: Ledger, shop: str) -> None:
        self.ledger = ledger
        self.shop = shop

    @retry_transaction
    def first_seen(self, alert: AlertName, now: datetime) -> datetime:
        """Return when an alert was evaluated first. If it never was, record that this is now, and that it is quiet."""
        with self.ledger.transaction() as connection:
            known: datetime | None = connection.scalar(sa.select(alerts.c.first_seen).where(*self._is(alert)))
            if known is None:
                row = {"shop": self.shop, "alert": alert, "firing": False, "summary": ""}
                times = {"since": now, "as_of": _LONG_AGO, "first_seen": now}
                connection.execute(sa.insert(alerts).values(**row, **times))
        return known or now

    @retry_transaction
    def record(
        self,
        evaluation: AlertEvaluation,
        channels: Sequence[Channel],
        build_message: Callable[[AlertTransition], Message],
        now: datetime,
    ) -> AlertTransition | None:
        """
        Store an evaluation; if it changes the alert, put a message for each channel into the outbox.

        Of two concurrent calls, one waits for the other and then sees what that one stored: no transition is sent
        twice.

        :param build_message: makes the message about a transition.
        :return: the transition; None if there is none, or an evaluation for a later moment was stored before.
        """
        self.first_seen(evaluation.alert, now)
        with self.ledger.transaction() as connection:
            # The update locks the row until the end of the transaction, so that no other task changes what is read
            # next.
            newer = sa.update(alerts).where(*self._is(evaluation.alert), alerts.c.as_of <= evaluation.as_of)
            values = {"summary": evaluation.summary, "remedy": evaluation.remedy}
            if not connection.execute(newer.values(as_of=evaluation.as_of, **values)).rowcount:
                return None
            known = connection.execute(sa.select(alerts).where(*self._is(evaluation.alert))).one()
            # Without a cause it only goes on: of several failed intervals of history, the latest run may be a success.
            has_other_cause = evaluation.firing and evaluation.cause not in ("", known.cause)
            if known.firing == evaluation.firing and not has_other_cause:
                return None
            since = known.since if known.firing else now
            transition = AlertTransition(evaluation, fired_at=since, at=now, has_fired=known.firing)
            new_state = {"firing": evaluation.firing, "since": since if evaluation.firing else now}
            connection.execute(
                sa.update(alerts)
                .where(*self._is(evaluation.alert))
                .values(**new_state, cause=evaluation.cause if evaluation.firing else None)
            )
            self._fill_outbox(connection, transition, channels, json.dumps(build_message(transition)))
        return transition

    def _fill_outbox(
        self, connection: sa.Connection, transition: AlertTransition, channels: Sequence[Channel], message: str
    ) -> None:
        """Replace what is pending about the alert by a message for each channel that wants it."""
        messages, alert = alert_messages.c, transition.evaluation.alert
        connection.execute(
            sa.delete(alert_messages).where(
                messages.shop == self.shop, messages.alert == alert, messages.sent_at.is_(None)
            )
        )
        for channel in channels:
            if alert.event in channel.events:
                row = {"shop": self.shop, "alert": alert, "channel": channel.key, "message": message}
                connection.execute(sa.insert(alert_messages).values(**row, changed_at=transition.at))

    def pending(self, channel: Channel) -> list[tuple[int, Message]]:
        """Return a channel's messages that are not sent yet, each with its id, in the order of the transitions."""
        messages = alert_messages.c
        query = (
            sa.select(messages.id, messages.message)
            .where(messages.shop == self.shop, messages.channel == channel.key, messages.sent_at.is_(None))
            .order_by(messages.id)
        )
        with self.ledger.transaction() as connection:
            return [(number, json.loads(text)) for number, text in connection.execute(query)]

    @retry_transaction
    def claim(self, number: int, now: datetime) -> bool:
        """Claim a message in order to send it; False if it was sent meanwhile, is gone, or another process sends it."""
        messages = alert_messages.c
        free = messages.claimed_at.is_(None) | (messages.claimed_at < now - CLAIM)
        with self.ledger.transaction() as connection:
            claimed = connection.execute(
                sa.update(alert_messages)
                .where(messages.id == number, messages.sent_at.is_(None), free)
                .values(claimed_at=now)
            )
            return bool(claimed.rowcount)

    def mark_sent(self, number: int, now: datetime) -> None:
        """Record that a claimed message was sent."""
        self._update(number, sent_at=now)

    def release(self, number: int) -> None:
        """Record that a claimed message could not be sent."""
        self._update(number, claimed_at=None)

    def firing(self) -> Sequence[sa.Row[Any]]:
        """Return the rows of ``rees46_alerts`` that fire, the longest first; none if there is no such table yet."""
        columns = self.ledger.columns(alerts)
        query = sa.select(*columns).where(alerts.c.shop == self.shop, alerts.c.firing).order_by(alerts.c.since)
        with self.ledger.transaction() as connection:
            return connection.execute(query).all() if sa.inspect(connection).has_table(alerts.name) else ()

    @retry_transaction
    def _update(self, number: int, **values: datetime | None) -> None:
        with self.ledger.transaction() as connection:
            connection.execute(sa.update(alert_messages).where(alert_messages.c.id == number).values(**values))

    def _is(self, alert: AlertName) -> tuple[sa.ColumnElement[bool], ...]:
        return alerts.c.shop == self.shop, alerts.c.alert == alert
