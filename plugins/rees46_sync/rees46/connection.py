"""
A REES46 connection of Airflow, checked.

:class:`ExtraFields` is the one list of its extra fields: the connection form of Airflow is made from it. Airflow reads
the form at start-up, so this module imports no database driver and no HTTP client.
"""

from __future__ import annotations

import logging
import math
import re
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from rees46_sync.airflow_adapters.encryption import is_loopback
from rees46_sync.exceptions import ConnectionFieldsError, Problem
from rees46_sync.rees46.adaptive_slots import MOST
from rees46_sync.rees46.dialects import DIALECTS, IMPORT_SYNC_ORDERS, MAPPED, OWN, SYNC_ORDERS, Dialect

log = logging.getLogger(__name__)

DEFAULT_TIMEOUT_S = 30.0
"""Seconds for a whole request: far above what a batch takes, far below an hourly run."""

AUTO = "auto"
"""As many requests in flight as REES46 answers without becoming slower."""

CONNECT_TIMEOUT_S = 10.0
"""Seconds to wait for a TCP connection."""


def _dialect(value: object) -> Dialect:
    if str(value) not in DIALECTS:
        raise Problem(f"is {value!r}", f"use one of {', '.join(DIALECTS)}")
    return DIALECTS[str(value)]


def _number(value: object) -> float:
    """Return a number; a connection given as a URI holds it as text."""
    return float(str(value))


def _concurrency(value: object) -> int | str:
    if value == AUTO:
        return AUTO
    try:
        number = math.ceil(_number(value))
    except (ValueError, OverflowError):
        number = 0
    if number < 1:
        raise Problem(f"is {value!r}", f"give {AUTO}, or a number above 0")
    return number


DialectByName = Annotated[Dialect, PlainValidator(_dialect), WithJsonSchema({"type": "string", "enum": list(DIALECTS)})]
StatusText = Annotated[
    str | None,
    WithJsonSchema(
        {"type": "string", "enum": [text for dialect in DIALECTS.values() for text in dialect.status_texts]}
    ),
]
Number = Annotated[float, BeforeValidator(_number)]
Concurrency = Annotated[int | str, PlainValidator(_concurrency), WithJsonSchema({"type": "string"})]


class ExtraFields(BaseModel):
    """What a REES46 connection may say in its extra; other keys are ignored."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    dialect: DialectByName = Field(
        default_factory=lambda: IMPORT_SYNC_ORDERS,
        title="Dialect",
        description="Which of REES46's endpoints takes the orders: /import/sync_orders of api.rees46.com, or the "
        f"current /sync/orders of api.rees46.ru. Default: {IMPORT_SYNC_ORDERS.name}.",
    )
    status_text: StatusText = Field(
        None,
        validate_default=True,
        title="Status text",
        description=f"Only with dialect {SYNC_ORDERS.name}. {OWN}: an order's status is sent as the shop calls it, and "
        f"REES46's own settings map it; {MAPPED}: it is sent as created, completed or cancelled, as the shop file maps "
        f"it. Default: {OWN}.",
    )
    timeout_s: Number = Field(
        DEFAULT_TIMEOUT_S,
        gt=0,
        allow_inf_nan=False,
        title="Time-out in seconds",
        description=f"How long a request may take, to the last byte of its answer. Default: {DEFAULT_TIMEOUT_S:g}.",
    )
    concurrency: Concurrency = Field(
        AUTO,
        title="Concurrency",
        description=f"How many requests may be in flight at the same time: a number, or {AUTO} for as many as REES46 "
        f"answers without becoming slower, {MOST} at most. Default: {AUTO}.",
    )
    min_interval_s: Number = Field(
        default_factory=lambda validated: validated["dialect"].min_interval_s if "dialect" in validated else 0.0,
        ge=0,
        allow_inf_nan=False,
        title="Seconds between requests",
        description="The shortest time from the start of one request to the start of the next. Default: "
        f"{SYNC_ORDERS.min_interval_s:g} with dialect {SYNC_ORDERS.name}, as REES46's documents ask, else 0.",
    )

    @field_validator("status_text", mode="before")
    @classmethod
    def _a_text_of_the_dialect(cls, value: object, info: ValidationInfo) -> object:
        dialect: Dialect | None = info.data.get("dialect")
        if dialect is None:  # that is the problem to report
            return None
        if value is None:
            return dialect.status_texts[0] if dialect.status_texts else None
        if not dialect.status_texts:
            raise Problem(
                f"is {value!r}, and dialect {dialect.name} sends no text as status, but REES46's code",
                f"remove status_text, or set dialect to {SYNC_ORDERS.name}",
            )
        if value not in dialect.status_texts:
            raise Problem(f"is {value!r}", f"use one of {', '.join(dialect.status_texts)}")
        return value


class Settings(ExtraFields):
    """
    What a REES46 connection says, checked.

    :param url: the endpoint's, with scheme and path.
    """

    conn_id: str
    url: str
    shop_id: str
    shop_secret: str = Field(repr=False)

    @property
    def max_in_flight(self) -> int:
        """The largest number of requests in flight."""
        return self.concurrency if isinstance(self.concurrency, int) else MOST


def form_fields() -> dict[str, dict[str, Any]]:
    """Return the extra fields as ``conn-fields`` of Airflow's ``provider_info.schema.json``."""
    fields = {}
    for name, schema in ExtraFields.model_json_schema()["properties"].items():
        label, description = schema.pop("title"), schema.pop("description")
        schema.pop("default", None)  # the form would store it in each connection
        schema["type"] = [schema["type"], "null"]
        fields[name] = {"label": label, "schema": schema, "description": description}
    return fields


def read_settings(conn_id: str) -> Settings:
    """
    Read an Airflow connection to REES46.

    :raises ConnectionFieldsError: there is no such connection, a field is missing, or it cannot be used.
    """
    # Here, because it imports database drivers.
    from rees46_sync.airflow_adapters.connections import get_connection

    connection = get_connection(conn_id)
    if not connection.login:
        raise ConnectionFieldsError(conn_id, "login is empty", "set it to the shop's store key (shop_id)")
    if not connection.password:
        raise ConnectionFieldsError(conn_id, "password is empty", "set it to the shop's secret key (shop_secret)")
    extra = _read_extra(conn_id, connection.extra_dejson)
    host = connection.host or extra.dialect.host
    return Settings.model_construct(
        **dict(extra),
        conn_id=conn_id,
        url=_url(conn_id, host, connection.port, connection.schema) + extra.dialect.path,
        shop_id=connection.login,
        shop_secret=connection.password,
    )


def _read_extra(conn_id: str, given: object) -> ExtraFields:
    if not isinstance(given, dict):
        raise ConnectionFieldsError(conn_id, f"extra is a {type(given).__name__}", "give a JSON object")
    # Airflow's form also stores a field that was left empty.
    filled = {name: value for name, value in given.items() if value not in (None, "")}
    try:
        return ExtraFields.model_validate(filled)
    except ValidationError as error:
        detail = error.errors()[0]
        name = str(detail["loc"][0])
        match detail.get("ctx"):
            case {"error": Problem() as problem}:
                pass
            case _:
                zero = "0 or " if _bounds(name).get("minimum") == 0 else ""
                problem = Problem(f"is {filled[name]!r}", f"give {zero}a number above 0")
        raise ConnectionFieldsError(conn_id, f"extra {name} {problem.problem}", problem.remedy) from None


def _bounds(name: str) -> dict[str, Any]:
    bounds: dict[str, Any] = ExtraFields.model_json_schema()["properties"][name]
    return bounds


def _url(conn_id: str, host: str, port: int | None, schema: str | None) -> str:
    """Return scheme, host and port; https unless the connection says http."""
    is_ipv6 = host.count(":") > 1 and "://" not in host and "[" not in host
    try:
        parts = urlsplit(f"//[{host}]" if is_ipv6 else host if "://" in host else f"//{host}")
        name, number = parts.hostname or "", port or parts.port
        # The HTTP client refuses empty and overlong parts of a name as well.
        usable = bool(name.encode("idna")) and not re.search(r"\s", name)
    except ValueError:
        usable = False
    if not usable or parts.path.strip("/") or parts.query:
        raise ConnectionFieldsError(
            conn_id, f"host is {host!r}", f"give a host name alone, such as {IMPORT_SYNC_ORDERS.host}"
        )
    scheme = (schema or parts.scheme or "https").lower()
    if scheme not in ("http", "https"):
        raise ConnectionFieldsError(conn_id, f"schema is {scheme!r}", "use https, or http for a local receiver")
    if number is not None and not 0 < number < 65_536:
        raise ConnectionFieldsError(conn_id, f"port is {number}", "give one from 1 to 65535, or none")
    if scheme == "http" and not is_loopback(name):
        log.warning(
            "Connection %s sends the shop's secret unencrypted to %s: remove schema http, so that https is used.",
            conn_id,
            name,
        )
    shown = f"[{name}]" if ":" in name else name
    return f"{scheme}://{shown}" + (f":{number}" if number else "")
