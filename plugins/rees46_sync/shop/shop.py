"""
A shop file: everything that a user says about one shop, checked before anything runs.

The folder of shop files is ``$REES46_SHOPS_DIR``, else ``include/shops`` of the project. Each ``*.yaml`` in it is one
shop. A file that cannot be used is reported by itself, so that one shop's mistake never stops another shop.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import sqlparse
import yaml
from croniter import CroniterError, croniter
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from rees46_sync.exceptions import ShopFileError
from rees46_sync.shop.channels import Channel, Thresholds, no_place_twice

CREATED, COMPLETED, CANCELLED = 0, 1, 2
"""REES46's order statuses: created; paid and delivered; cancelled (REES46, "Synchronize Order Statuses")."""

STATUS_NAMES = ("created", "completed", "cancelled")
"""Their names, by number."""

WINDOW_PARAMETERS = (":window_start", ":window_end")

# Made here, like a compiled pattern: once where this is imported, not anew for each process that is forked afterwards.
_LEXER = sqlparse.lexer.Lexer.get_default_instance()  # type: ignore[no-untyped-call] # it has no types
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


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=250)]
Duration = Annotated[timedelta, BeforeValidator(_duration), Field(ge=timedelta(0), le=timedelta(days=3660))]


class Statuses(BaseModel):
    """The shop's own statuses for each REES46 status, trimmed; compared exactly."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    created: tuple[Text, ...] = Field(description="the list of the shop's statuses of open orders")
    completed: tuple[Text, ...] = Field(
        description="the list of the shop's statuses that mean paid and delivered", min_length=1
    )
    cancelled: tuple[Text, ...] = Field(description="the list of the shop's statuses that mean cancelled")

    @model_validator(mode="after")
    def _each_status_once(self) -> Statuses:
        listed = [*self.created, *self.completed, *self.cancelled]
        twice = sorted({status for status in listed if listed.count(status) > 1})
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
    """What stops a run before it sends anything."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rejected_share: float = Field(
        0.05, ge=0, le=1, description="the largest share of rejected rows that a run may have, 0 to 1"
    )
    changed_orders: int = Field(
        100_000, ge=0, description="the largest number of orders that one run may change, 0 or more"
    )


class Shop(BaseModel):
    """One shop file, checked. Durations are timedeltas, ``query`` is an absolute path."""

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
    schedule: Annotated[str, AfterValidator(_cron)] = Field(
        "@hourly", description='a cron expression, such as "@hourly" or "30 * * * *"'
    )
    lookback: Duration = Field(
        timedelta(hours=24), description="how far a run looks back for late rows, as a number and s, m, h, d or w: 24h"
    )
    partition_rows: int = Field(
        250_000, ge=1, le=100_000_000, description="the largest number of rows of a partition, 1 or more"
    )
    limits: Limits = Field(Limits.model_validate({}), description="rejected_share and changed_orders")
    on_limit: Literal["fail", "ask"] = Field(
        "fail", description="what a reached limit does: fail stops the run, ask waits for a person's approval"
    )
    # Half of the day within which REES46 wants to be told: a night for one request, and time for that of the next run.
    # Less than staged files are kept: what is approved has to be there still.
    approval_timeout: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(days=6))] = Field(
        timedelta(hours=12),
        description="how long a run waits for an approval, as a number and s, m, h, d or w, from 1s to 6d: 12h",
    )

    allow_reopen: bool = Field(False, description="true or false: may a completed or cancelled order become created")
    feed_asset: Annotated[str, AfterValidator(_asset_uri)] | None = Field(
        None,
        description="the URI of an Airflow asset that also starts the hourly run, such as s3://feeds/shop.xml, or null",
    )
    staging: Annotated[str, StringConstraints(pattern=r"\A([a-z0-9+.-]+:/|/)/?\S*\z")] | None = Field(
        None, description="an object storage URL, such as s3://connection@bucket/folder, or null"
    )

    # At least what the alert about the volume looks back (8 weeks), and some days for it.
    keep_days: Annotated[int, Field(ge=60, le=36_500)] | None = Field(
        None, description="for how many days the ledger keeps what nothing needs any more, 60 or more, or null for ever"
    )

    freshness: Annotated[Duration, Field(gt=timedelta(0))] = Field(
        timedelta(hours=24),
        description="the longest time without a success, and that a change may wait, before freshness counts as lost, "
        "as a number and s, m, h, d or w: 24h",
    )
    notify: Annotated[tuple[Channel, ...], AfterValidator(no_place_twice)] = Field(
        (), description="a list of places that are told of alerts, each with one of email, slack and webhook"
    )
    alerts: Thresholds = Field(Thresholds.model_validate({}), description="rejected_share and volume_factor")

    _file: Path = PrivateAttr(Path("shop.yaml"))

    @property
    def file(self) -> Path:
        """Where this shop was read from."""
        return self._file

    @property
    def codes(self) -> dict[str, int]:
        """REES46's code (0, 1 or 2) of each of the shop's statuses."""
        return self.statuses.codes

    @field_validator("query", mode="after")
    @classmethod
    def _usable_query(cls, query: Path, info: ValidationInfo) -> Path:
        shop_file: Path = (info.context or {})["file"]
        path = (shop_file.parent / query).resolve()
        read_query(path)
        return path

    def __repr__(self) -> str:
        return f"Shop({self.shop!r})"


def shops_dir(project: Path) -> Path:
    """Return the folder of shop files: ``$REES46_SHOPS_DIR``, else ``include/shops`` of the project."""
    return Path(os.environ.get("REES46_SHOPS_DIR") or project / "include" / "shops").absolute()


def load_shops(folder: Path) -> tuple[list[Shop], list[ShopFileError]]:
    """
    Read every shop file of a folder.

    :return: the usable shops, by file name, and what is wrong with the other files. Of two files that name the same
        shop the first is used.
    """
    shops: dict[str, Shop] = {}
    errors = []
    files = sorted(path for path in folder.glob("*") if path.suffix in (".yaml", ".yml"))
    if not files:
        errors.append(ShopFileError(f"{folder}/*.yaml", "there is none; write one, or set REES46_SHOPS_DIR"))
    for file in files:
        try:
            shop = load_shop(file)
            if shop.shop in shops:
                other = shops[shop.shop].file.name
                raise ShopFileError(file.name, f"shop is {shop.shop!r}, as in {other}; give each shop its own name")
        except ShopFileError as error:
            errors.append(error)
        else:
            shops[shop.shop] = shop
    return list(shops.values()), errors


def load_shop(file: Path) -> Shop:
    """
    Read one shop file.

    :raises ShopFileError: it names every problem of the file by key, value and remedy.
    """
    try:
        content = yaml.load(file.read_text("utf-8"), _TextLoader)  # noqa: S506 - a SafeLoader, see there
    except (OSError, UnicodeDecodeError) as error:
        raise ShopFileError(file.name, f"cannot be read ({error}); make it a readable UTF-8 file") from error
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        # The others are what PyYAML lets out for a wrong tag (!!int many), a list as a key, or endless brackets.
        place = " ".join(str(error).split())
        raise ShopFileError(file.name, f"is not YAML ({place}); correct that place") from error
    if not isinstance(content, dict):
        raise ShopFileError(file.name, "is not a list of keys with values; see include/shops/demo.yaml")
    try:
        shop = Shop.model_validate(content, context={"file": file})
    except ValidationError as error:
        raise ShopFileError(file.name, *_faults(error)) from error
    shop._file = file
    return shop


@dataclass(frozen=True)
class Query:
    """
    A shop's query.

    :param parts: its text in pieces; a piece that is ``:window_start`` or ``:window_end`` is a parameter.
    """

    parts: tuple[str, ...]

    def for_driver(
        self, paramstyle: str, bounds: Mapping[str, object]
    ) -> tuple[str, tuple[object, ...] | dict[str, object]]:
        """
        Write the query in the parameter style of a database driver (PEP 249), everything else as it stands in the file.

        :param bounds: the values of ``window_start`` and ``window_end``.
        :return: the statement and its parameters.
        """
        names = [part[1:] for part in self.parts if part in WINDOW_PARAMETERS]
        numbers = itertools.count(1)
        styles: dict[str, Callable[[str], str]] = {
            "qmark": lambda _: "?",
            "format": lambda _: "%s",
            "numeric": lambda _: f":{next(numbers)}",
            "numeric_dollar": lambda _: f"${next(numbers)}",
            "named": lambda name: f":{name}",
            "pyformat": lambda name: f"%({name})s",
        }
        percent = "%%" if paramstyle in ("format", "pyformat") else "%"
        text = "".join(
            styles[paramstyle](part[1:]) if part in WINDOW_PARAMETERS else part.replace("%", percent)
            for part in self.parts
        )
        if paramstyle in ("named", "pyformat"):
            return text, dict(bounds)
        return text, tuple(bounds[name] for name in names)


def read_query(path: Path) -> Query:
    """
    Read a query file: one statement, which reads; its comments and a semicolon at its end are left out.

    :raises ValueError: the file is missing or unreadable, holds no or several statements, does not read, or does not
        bind exactly ``:window_start`` and ``:window_end``.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} cannot be read ({type(error).__name__}); give the path of a UTF-8 file, relative to the shop file"
        ) from error
    types = sqlparse.tokens
    statements: list[list[str]] = [[]]
    binds = set()
    tokens: Iterator[tuple[Any, str]] = _LEXER.get_tokens(text)
    for kind, value in tokens:
        if kind in types.Comment and kind not in types.Comment.Single.Hint and kind not in types.Comment.Multiline.Hint:
            statements[-1].append("\n" if value.endswith("\n") else " ")
        elif kind in types.Punctuation and value == ";":
            statements.append([])
        else:
            is_first_word = not any(part.strip() for part in statements[-1])
            if is_first_word and (
                kind in types.Keyword.DDL or (kind in types.Keyword.DML and value.upper() != "SELECT")
            ):
                raise ValueError(f"begins with {value.upper()}; write one SELECT")
            if kind in types.Name.Placeholder:
                binds.add(value)
            statements[-1].append(value)
    full = [parts for parts in statements if "".join(parts).strip()]
    if len(full) != 1:
        raise ValueError(f"holds {len(full)} statements; write one SELECT")
    missing = [name for name in WINDOW_PARAMETERS if name not in binds]
    unknown = sorted(binds - set(WINDOW_PARAMETERS))
    if missing:
        raise ValueError(
            f"does not bind {' and '.join(missing)} outside comments and quotes; "
            "write updated_at >= :window_start AND updated_at < :window_end"
        )
    if unknown:
        raise ValueError(f"binds {', '.join(unknown)}; bind only :window_start and :window_end")
    return Query(tuple(full[0]))


class _TextLoader(yaml.SafeLoader):
    """YAML in which each scalar stays the text that was written, except null; a key stands once.

    So a status ``007`` or ``no`` is that text, not 7 or false; pydantic reads the numbers of the other keys.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own name and type
        first: [pair for pair in pairs if pair[0] in ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key that stands twice: the first value would be lost without a word."""
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key that is no text", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _faults(error: ValidationError) -> Iterator[str]:
    """Say each problem as "key is value, which ...; remedy"."""
    details = error.errors()
    places = [detail["loc"] for detail in details]
    for detail in details:
        loc = detail["loc"]
        # A list with a wrong element counts as too short as well.
        if detail["type"] != "too_short" or not any(place[: len(loc)] == loc and place != loc for place in places):
            yield _fault(detail)


def _fault(detail: ErrorDetails) -> str:
    key = ".".join(str(part) for part in detail["loc"] if part != "function-after")
    remedy = _remedy(detail["loc"])
    match detail["type"]:
        case "missing":
            return f"{key} is missing; give {remedy}"
        case "extra_forbidden":
            return f"{key} is not a known key; correct its spelling or remove it ({remedy})"
        case "too_short":
            return f"{key} is empty; give {remedy}"
        case "value_error":
            what = detail["msg"].removeprefix("Value error, ")
            shown = "" if isinstance(detail["input"], dict) else f" is {_shown(detail['input'])} and"
            return f"{key}{shown} {what}" + ("" if "; " in what else f"; give {remedy}")
        case _:
            return f"{key} is {_shown(detail['input'])}; give {remedy}"


def _shown(value: object) -> str:
    return "null" if value is None else f"{value!r:.100}"


def _remedy(loc: tuple[int | str, ...]) -> str:
    """Return the description of the deepest known key of a location, or the known keys beside an unknown one."""
    model: type[BaseModel] = Shop
    remedy = ""
    for part in loc:
        if isinstance(part, int):  # an element of a list
            continue
        field = model.model_fields.get(part)
        if field is None:
            return f"known keys: {', '.join(model.model_fields)}"
        remedy = field.description or ""
        inner = next((kind for kind in (field.annotation, *get_args(field.annotation)) if _is_model(kind)), None)
        if inner is None:
            break
        model = inner
    return remedy


def _is_model(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
