"""
A shop file: everything that a user says about one shop, checked before anything runs.

The folder of shop files is ``$REES46_SHOPS_DIR``, else ``include/shops`` of the project. Each ``*.yaml`` in it is one
shop. A file that cannot be used is reported by itself, so that one shop's mistake never stops another shop.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import sqlparse
import yaml
from croniter import croniter
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

CREATED, COMPLETED, CANCELLED = 0, 1, 2
"""REES46's order statuses: created; paid and delivered; cancelled (REES46, "Synchronize Order Statuses")."""

WINDOW_PARAMETERS = (":window_start", ":window_end")

_DURATION = re.compile(r"([0-9]+)([smhdw])")
_DURATION_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_NON_BINDING_COLON = re.compile(r"(?<![:\\]):(?=\w)")


def _duration(value: object) -> object:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    return timedelta(**{_DURATION_UNITS[match[2]]: int(match[1])}) if match else value


def _cron(value: str) -> str:
    if not croniter.is_valid(value):
        raise ValueError("is not a cron expression")
    return value


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=250)]
Duration = Annotated[timedelta, BeforeValidator(_duration), Field(ge=timedelta(0))]


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
    partition_rows: int = Field(250_000, ge=1, description="the largest number of rows of a partition, 1 or more")
    limits: Limits = Field(Limits.model_validate({}), description="rejected_share and changed_orders")
    allow_reopen: bool = Field(False, description="true or false: may a completed or cancelled order become created")
    feed_asset: Annotated[str, StringConstraints(pattern=r"\A[a-z][a-z0-9+.-]*://[!-~]+\z")] | None = Field(
        None, description="the URI of an Airflow asset that also starts the hourly run, or null"
    )
    staging: Annotated[str, StringConstraints(pattern=r"\A([a-z0-9+.-]+:/|/)/?\S*\z")] | None = Field(
        None, description="an object storage URL, such as s3://connection@bucket/folder, or null"
    )

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
    except yaml.YAMLError as error:
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


def read_query(path: Path) -> str:
    """
    Read a query file and make it ready for :func:`sqlalchemy.text`.

    :return: the one statement of the file, without comments; the two window parameters are its only bind parameters
        (a colon inside a string or a cast is escaped).
    :raises ValueError: the file is missing or unreadable, holds no or several statements, or does not bind exactly
        ``:window_start`` and ``:window_end``.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} cannot be read ({type(error).__name__}); give the query file's path, relative to the shop file"
        ) from error
    parsed: list[Any] = list(sqlparse.parse(text))
    statements = [one for one in parsed if one.token_first(skip_cm=True) and str(one).strip() != ";"]
    if len(statements) != 1:
        raise ValueError(f"holds {len(statements)} statements; write one SELECT")
    binds = set()
    parts = []
    for token in statements[0].flatten():
        if token.ttype in sqlparse.tokens.Name.Placeholder:
            binds.add(token.value)
            parts.append(token.value)
        elif token.ttype in sqlparse.tokens.Comment and token.ttype not in sqlparse.tokens.Comment.Single.Hint:
            parts.append("\n" if token.value.endswith("\n") else " ")
        else:
            parts.append(_NON_BINDING_COLON.sub(r"\\:", token.value))
    missing = [name for name in WINDOW_PARAMETERS if name not in binds]
    unknown = sorted(binds - set(WINDOW_PARAMETERS))
    if missing:
        raise ValueError(
            f"does not bind {' and '.join(missing)} outside comments and quotes; "
            "write updated_at >= :window_start AND updated_at < :window_end"
        )
    if unknown:
        raise ValueError(f"binds {', '.join(unknown)}; bind only :window_start and :window_end")
    return "".join(parts).strip().removesuffix(";").rstrip()


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
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _faults(error: ValidationError) -> Iterator[str]:
    """Say each problem as "key is value, which ...; remedy"."""
    for detail in error.errors():
        yield _fault(detail)


def _fault(detail: ErrorDetails) -> str:
    key = ".".join(str(part) for part in detail["loc"] if part != "function-after")
    remedy = _remedy(tuple(str(part) for part in detail["loc"]))
    match detail["type"]:
        case "missing":
            return f"{key} is missing; give {remedy}"
        case "extra_forbidden":
            return f"{key} is not a known key; correct its spelling or remove it ({remedy})"
        case "too_short":
            return f"{key} is empty; give {remedy}"
        case "string_pattern_mismatch":
            return f"{key} is {detail['input']!r:.100}; give {remedy}"
        case "value_error":
            what = detail["msg"].removeprefix("Value error, ")
            shown = "" if isinstance(detail["input"], dict) else f" is {detail['input']!r} and"
            return f"{key}{shown} {what}" + ("" if "; " in what else f"; give {remedy}")
        case _:
            return f"{key} is {detail['input']!r:.100}: {detail['msg'].lower()}; give {remedy}"


def _remedy(loc: tuple[str, ...]) -> str:
    """Return the description of the deepest known key of a location, or the known keys beside an unknown one."""
    model: type[BaseModel] = Shop
    remedy = ""
    for part in loc:
        field = model.model_fields.get(part)
        if field is None:
            if not part.isdigit():
                remedy = f"known keys: {', '.join(model.model_fields)}"
            break
        remedy = field.description or ""
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            model = field.annotation
        else:
            break
    return remedy
