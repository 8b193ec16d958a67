"""
The alerts of a shop in the ledger: which of them fire, since when, and who is still to be told.

A change of an alert and the messages about it, one for each place that is to be told, are stored in one transaction.
A message stays until it was sent. One that was not sent before the alert changes again is dropped for the newer one,
which says since when the alert fired: nobody is told a story that is over, and nobody is told less than how it ended.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from rees46_sync.ledger.database import Ledger, again_after_a_race
from rees46_sync.ledger.tables import alert_messages, alerts
from rees46_sync.shop.channels import Channel, Event

CLAIM = timedelta(minutes=15)
"""Who takes a message has this long to send it, then another may: much longer than any attempt takes."""

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

Message = dict[str, Any]
"""What is told; see ``notifications.message_of``."""


@dataclass(frozen=True)
class Finding:
    """
    What was found about one alert.

    :param alert: its name in the ledger.
    :param event: what the shop file calls it.
    :param firing: whether it is as it should not be.
    :param about: the moment that this speaks about; an earlier one than that of another finding changes nothing.
    :param summary: what was found, a sentence or two; no rows, no secrets.
    :param to_do: what a person does about it while it fires.
    :param figures: the numbers of the summary, for machines.
    :param dag_id, run_id: the run that it is about; None where it is about none.
    """

    alert: str
    event: Event
    firing: bool
    about: datetime
    summary: str
    to_do: str
    figures: Mapping[str, float | str | None]
    dag_id: str | None = None
    run_id: str | None = None


@dataclass(frozen=True)
class Change:
    """
    An alert that began or ceased to fire.

    :param fired_at: when it began to.
    :param at: when it changed.
    """

    finding: Finding
    fired_at: datetime
    at: datetime


class Alerts:
    """The alerts of one shop."""

    def __init__(self, ledger: Ledger, shop: str) -> None:
        self.ledger = ledger
        self.shop = shop

    @again_after_a_race
    def first_seen(self, alert: str, now: datetime) -> datetime:
        """Return when an alert was first looked at; where it never was that is now, and it is known as quiet."""
        with self.ledger.transaction() as connection:
            known: datetime | None = connection.scalar(sa.select(alerts.c.first_seen).where(*self._is(alert)))
            if known is None:
                connection.execute(
                    sa.insert(alerts).values(
                        shop=self.shop,
                        alert=alert,
                        firing=False,
                        since=now,
                        about=_LONG_AGO,
                        first_seen=now,
                        summary="",
                    )
                )
        return known or now

    @again_after_a_race
    def record(
        self, finding: Finding, channels: Sequence[Channel], message_of: Callable[[Change], Message], now: datetime
    ) -> Change | None:
        """
        Store a finding, and a message to each channel where it changes the alert.

        Of two at once one waits for the other, and then sees what that one stored: no change is told twice.

        :param message_of: makes of a :class:`Change` what is told.
        :return: the change; None where there is none, or a later finding was stored before.
        """
        self.first_seen(finding.alert, now)
        with self.ledger.transaction() as connection:
            # The update locks the row until the end of the transaction, so nobody else changes what is read next.
            newer = sa.update(alerts).where(*self._is(finding.alert), alerts.c.about <= finding.about)
            if not connection.execute(newer.values(about=finding.about, summary=finding.summary)).rowcount:
                return None
            known = connection.execute(sa.select(alerts).where(*self._is(finding.alert))).one()
            if known.firing == finding.firing:
                return None
            change = Change(finding, fired_at=now if finding.firing else known.since, at=now)
            connection.execute(
                sa.update(alerts).where(*self._is(finding.alert)).values(firing=finding.firing, since=now)
            )
            messages = alert_messages.c
            connection.execute(
                sa.delete(alert_messages).where(
                    messages.shop == self.shop, messages.alert == finding.alert, messages.told_at.is_(None)
                )
            )
            message = json.dumps(message_of(change))
            for channel in channels:
                if finding.event in channel.events:
                    connection.execute(
                        sa.insert(alert_messages).values(
                            shop=self.shop,
                            alert=finding.alert,
                            channel=channel.key,
                            message=message,
                            changed_at=now,
                        )
                    )
        return change

    def untold(self, channel: Channel) -> list[tuple[int, Message]]:
        """Return the messages that a channel was not told yet, each with its number, in the order of the changes."""
        messages = alert_messages.c
        query = (
            sa.select(messages.id, messages.message)
            .where(messages.shop == self.shop, messages.channel == channel.key, messages.told_at.is_(None))
            .order_by(messages.id)
        )
        with self.ledger.transaction() as connection:
            return [(number, json.loads(text)) for number, text in connection.execute(query)]

    @again_after_a_race
    def claim(self, number: int, now: datetime) -> bool:
        """Take a message to send it; False where it was told meanwhile, is no more, or somebody else is sending it."""
        messages = alert_messages.c
        free = messages.claimed_at.is_(None) | (messages.claimed_at < now - CLAIM)
        with self.ledger.transaction() as connection:
            taken = connection.execute(
                sa.update(alert_messages)
                .where(messages.id == number, messages.told_at.is_(None), free)
                .values(claimed_at=now)
            )
            return bool(taken.rowcount)

    def told(self, number: int, now: datetime) -> None:
        """Note that a claimed message was sent."""
        self._update(number, told_at=now)

    def give_back(self, number: int) -> None:
        """Note that a claimed message could not be sent."""
        self._update(number, claimed_at=None)

    @again_after_a_race
    def _update(self, number: int, **values: datetime | None) -> None:
        with self.ledger.transaction() as connection:
            connection.execute(sa.update(alert_messages).where(alert_messages.c.id == number).values(**values))

    def _is(self, alert: str) -> tuple[sa.ColumnElement[bool], ...]:
        return alerts.c.shop == self.shop, alerts.c.alert == alert
