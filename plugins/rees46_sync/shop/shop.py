"""
The model of a shop file: its keys, their defaults, and what a valid value is.

A field's description continues the word "give" in an error message about its key.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from croniter import CroniterError, croniter
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from rees46_sync.shop.channels import Channel, Thresholds, no_place_twice
from rees46_sync.shop.query import WINDOW_PARAMETERS, read_query
from rees46_sync.shop.statuses import CANCELLED as CANCELLED
from rees46_sync.shop.statuses import COMPLETED as COMPLETED
from rees46_sync.shop.statuses import CREATED as CREATED
from rees46_sync.shop.statuses import STATUS_NAMES as STATUS_NAMES

_DURATION = re.compile(r"([0-9]+)([smhdw])")
_DURATION_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _duration(value: object) -> object:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if not match:
        return value
    try:
        return timedelta(**{_DURATION_UNITS[match[2]]: int(match[1])})
    except (OverflowError, ValueError) as error:
        raise ValueError("is longer than there is time") from error


def _cron(value: str) -> str:
    if not croniter.is_valid(value):
        raise ValueError("is not a cron expression")
    try:
        croniter(value).get_next()
    except CroniterError as error:
        raise ValueError("names a time that never comes") from error
    return value


def _asset_uri(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*://[!-~]+", value):
        raise ValueError("is not a URI")
    from airflow.sdk import Asset

    try:
        Asset(value)
    except ValueError as error:
        raise ValueError(f"is not a URI that Airflow takes ({error})") from error
    return value


MAX_SETTLE = timedelta(days=7)
MAX_RESEND_EVERY = timedelta(days=30)
"""Half of the shortest ``keep_days``, so that the record of the last resend is there for as long as it counts."""

MAX_ORDERS = 1_000_000_000
"""The largest limit of orders; every database can count so far."""

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=250)]
Duration = Annotated[timedelta, BeforeValidator(_duration), Field(ge=timedelta(0), le=timedelta(days=3660))]


class Statuses(BaseModel):
    """The shop's own statuses for each of REES46's: trimmed, and compared exactly."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    created: tuple[Text, ...] = Field(description="the list of the shop's statuses of open orders")
    completed: tuple[Text, ...] = Field(
        description="the list of the shop's statuses that mean paid and delivered", min_length=1
    )
    cancelled: tuple[Text, ...] = Field(description="the list of the shop's statuses that mean cancelled")

    @model_validator(mode="after")
    def _each_status_once(self) -> Statuses:
        listed = [*self.created, *self.completed, *self.cancelled]
        twice = sorted(status for status, times in Counter(listed).items() if times > 1)
        if twice:
            raise ValueError(f"lists {', '.join(map(repr, twice))} twice")
        return self

    @property
    def codes(self) -> dict[str, int]:
        """REES46's code (0, 1 or 2) of each of the shop's statuses."""
        return {
            **dict.fromkeys(self.created, CREATED),
            **dict.fromkeys(self.completed, COMPLETED),
            **dict.fromkeys(self.cancelled, CANCELLED),
        }


class Limits(BaseModel):
    """Limits that stop a run before it sends anything."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rejected_share: float = Field(
        0.05, ge=0, le=1, description="the largest share of newly rejected rows that a run may have, 0 to 1"
    )
    changed_orders: int = Field(
        100_000,
        ge=0,
        le=MAX_ORDERS,
        description="the largest number of orders that one run may change, 0 to 1,000,000,000",
    )
    reopened_orders: int = Field(
        100,
        ge=0,
        le=MAX_ORDERS,
        description="the largest number of orders that one run may newly hold back as reopened, 0 to 1,000,000,000",
    )


class Shop(BaseModel):
    """One shop file, checked. Durations are timedeltas, the paths of queries are absolute."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shop: str = Field(
        pattern=r"\A[a-z0-9_]+\z",
        max_length=100,
        description="a name of a-z, 0-9 and _; it becomes part of the DAG ids",
    )
    warehouse_conn_id: Text = Field(description="the id of the Airflow connection of the warehouse")
    rees46_conn_id: Text = Field(description="the id of the Airflow connection that holds the shop's REES46 keys")
    ledger_conn_id: Text = Field(description="the id of the Airflow connection of the ledger's database")
    query: Path = Field(description="the path of the query file, relative to the shop file")
    statuses: Statuses = Field(description="the shop's statuses under created, completed and cancelled, each once")
    schedule: Annotated[str, StringConstraints(max_length=250), AfterValidator(_cron)] = Field(
        "@hourly", description='a cron expression, such as "@hourly" or "30 * * * *"'
    )
    lookback: Duration = Field(
        timedelta(hours=24), description="how far a run looks back for late rows, as a number and s, m, h, d or w: 24h"
    )
    partition_rows: int = Field(
        250_000, ge=1, le=100_000_000, description="the largest number of rows of a partition, 1 or more"
    )
    limits: Limits = Field(Limits.model_validate({}), description="rejected_share, changed_orders and reopened_orders")
    on_limit: Literal["fail", "ask"] = Field(
        "fail", description="what a reached limit does: fail stops the run, ask waits for a person's approval"
    )
    # Half of the day within which REES46 wants a change: a night to answer, and time for the next run's request.
    # At most 6 days, because staged files are kept for 7 and an approved run needs them.
    approval_timeout: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(days=6))] = Field(
        timedelta(hours=12),
        description="how long a run waits for an approval, as a number and s, m, h, d or w, from 1s to 6d: 12h",
    )
    approvers: Annotated[tuple[Text, ...], Field(min_length=1, max_length=100)] | None = Field(
        None,
        description="a list of the ids of the Airflow users who may approve, such as [jane, john], or null for "
        "everyone whose role may",
    )

    settle: Annotated[Duration, Field(le=MAX_SETTLE)] = Field(
        timedelta(hours=1),
        description="how long REES46 may still process a request, as a number and s, m, h, d or w, up to 7d: 1h",
    )
    resend_every: Annotated[Duration, Field(ge=timedelta(hours=1), le=MAX_RESEND_EVERY)] | None = Field(
        None,
        description="after how long a run sends again what changed in that time although REES46 has it, as a number "
        "and s, m, h, d or w, from 1h to 30d: 7d; or null for never",
    )
    loaded_until: Path | None = Field(
        None,
        description="the path, relative to the shop file, of a query that returns up to when the shop's loader has "
        "delivered, or null",
    )
    allow_reopen: bool = Field(False, description="true or false: may a completed or cancelled order become created")
    feed_asset: Annotated[str, StringConstraints(max_length=1000), AfterValidator(_asset_uri)] | None = Field(
        None,
        description="the URI of an Airflow asset that also starts the hourly run, such as s3://feeds/shop.xml, or null",
    )
    staging: Annotated[str, StringConstraints(pattern=r"\A([a-z0-9+.-]+:/|/)/?\S*\z", max_length=1000)] | None = Field(
        None, description="an object storage URL, such as s3://connection@bucket/folder, or null"
    )

    # The volume alert looks back 8 weeks (56 days).
    keep_days: Annotated[int, Field(ge=60, le=36_500)] | None = Field(
        None, description="for how many days the ledger keeps what nothing needs any more, 60 or more, or null for ever"
    )

    freshness: Annotated[Duration, Field(gt=timedelta(0))] = Field(
        timedelta(hours=24),
        description="the longest time without a success, and that a change may wait, before freshness counts as "
        "breached, as a number and s, m, h, d or w: 24h",
    )
    notify: Annotated[tuple[Channel, ...], Field(max_length=100), AfterValidator(no_place_twice)] = Field(
        (), description="a list of places that receive alerts, each with one of email, slack, webhook and apprise"
    )
    alerts: Thresholds = Field(
        Thresholds.model_validate({}), description="rejected_share, reopened_share and volume_factor"
    )
    language: Literal["en", "ru"] = Field(
        "en", description="the language of alerts and of requests for approval: en or ru"
    )

    _file: Path = PrivateAttr(Path("shop.yaml"))

    @property
    def file(self) -> Path:
        """The file that this shop was read from."""
        return self._file

    @property
    def codes(self) -> dict[str, int]:
        """REES46's code (0, 1 or 2) of each of the shop's statuses."""
        return self.statuses.codes

    @field_validator("query", "loaded_until", mode="after")
    @classmethod
    def _usable_query(cls, query: Path | None, info: ValidationInfo) -> Path | None:
        if query is None:
            return None
        shop_file: Path = (info.context or {})["file"]
        path = (shop_file.parent / query).resolve()
        read_query(path, WINDOW_PARAMETERS if info.field_name == "query" else ())
        return path

    def model_post_init(self, context: Any) -> None:
        """Keep the file that the context names."""
        self._file = (context or {}).get("file", self._file)

    def __repr__(self) -> str:
        return f"Shop({self.shop!r})"
