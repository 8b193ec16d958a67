"""
The keys of a shop file about alerts: who receives them (``notify``) and their thresholds (``alerts``).

``monitoring/notifiers.py`` sends them.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from rees46_sync.exceptions import Problem

Event = Literal[
    "run_failed",
    "limit_reached",
    "rejected_share",
    "reopened",
    "freshness",
    "volume",
    "late_data",
    "slow_run",
    "ledger",
    "differences",
]

EVENTS: tuple[Event, ...] = get_args(Event)

CONNECTIONS = {
    "email": "smtp_default",
    "slack": "slack_api_default",
    "webhook": "http_default",
    "apprise": "apprise_default",
}
"""The default Airflow connection of each kind of channel: that of its provider."""

Address = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"\A[^@\s,<>]+@[^@\s,<>]+\z", max_length=250)]


class Channel(BaseModel):
    """A place that receives alerts: e-mail addresses, a Slack channel, a webhook, or a service that Apprise knows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    email: tuple[Address, ...] | None = Field(
        None, description="a list of e-mail addresses, such as [ops@example.com]", min_length=1, max_length=50
    )
    slack: Annotated[str, StringConstraints(pattern=r"\A\S+\z", max_length=250)] | None = Field(
        None, description='the name or id of a Slack channel, in quotes: "#orders"'
    )
    webhook: Annotated[str, StringConstraints(pattern=r"\A/\S*\z", max_length=1000)] | None = Field(
        None, description="the path below the connection's host that takes a POST, such as /hooks/orders"
    )
    apprise: Annotated[str, StringConstraints(pattern=r"\A[^\s,:/]+\z", max_length=250)] | None = Field(
        None, description="the tag of the services in the Apprise connection that receive it, or all"
    )
    conn_id: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=250)] | None = Field(
        None, description="the id of the Airflow connection of the mail server, Slack, the webhook's host or Apprise"
    )
    events: tuple[Event, ...] = Field(
        EVENTS, description=f"a list of the events that are sent here, of {', '.join(EVENTS)}", min_length=1
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Channel:
        if sum(getattr(self, kind) is not None for kind in CONNECTIONS) != 1:
            raise Problem(
                "must have exactly one of email, slack, webhook and apprise", "write each place as an entry of its own"
            )
        return self

    @property
    def kind(self) -> str:
        """``email``, ``slack``, ``webhook`` or ``apprise``."""
        return next(kind for kind in CONNECTIONS if getattr(self, kind) is not None)

    @property
    def connection(self) -> str:
        """The id of the channel's Airflow connection."""
        return self.conn_id or CONNECTIONS[self.kind]

    @property
    def key(self) -> str:
        """The channel's name in the ledger: it depends on the place alone, and does not reveal the address."""
        place = repr((self.connection, getattr(self, self.kind)))
        return f"{self.kind} {hashlib.sha256(place.encode()).hexdigest()[:16]}"


class Thresholds(BaseModel):
    """Thresholds above which an alert fires; the run goes on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rejected_share: float = Field(
        0.01, ge=0, le=1, description="the share of rejected rows of a run above which an alert fires, 0 to 1"
    )
    reopened_share: float = Field(
        0.05,
        ge=0,
        le=1,
        description="the share of a run's rows above which orders that are held back as reopened make an alert fire, "
        "0 to 1",
    )
    volume_factor: float = Field(
        5,
        gt=1,
        le=1000,
        description="how many times more or fewer changes than usual make an alert fire, a number above 1",
    )


def no_place_twice(channels: tuple[Channel, ...]) -> tuple[Channel, ...]:
    """
    Return the channels.

    :raises Problem: two of them are the same place, which would receive everything twice.
    """
    if len({channel.key for channel in channels}) < len(channels):
        raise Problem("names the same place twice", "list all of its events in one entry")
    return channels
