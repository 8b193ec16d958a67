"""
A new shop (``make new-shop``): asks five questions, then writes the shop file, its query and lines of ``.env``.

Options answer questions beforehand. Nothing is written before the last answer; no file and no line of ``.env`` is
overwritten; no secret is shown. At the end the doctor examines the shop.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer
from dotenv import dotenv_values

from rees46_sync.doctor import environment
from rees46_sync.doctor.__main__ import main as examine
from rees46_sync.shop.query import read_query
from rees46_sync.shop.shop_file import load_shops, shops_dir

SHOPS = environment.PROJECT / "include" / "shops"
SYSTEMS = tuple(sorted(file.stem for file in (SHOPS / "examples").glob("*.yaml")))
OWN = "own"
LEDGER = "rees46_ledger"
"""The ledger's connection. All shops that are made here share it."""

_LATER_THAN_A_DAY = {"sqlite": "datetime('now', '+1 day')", "mysql": "UTC_TIMESTAMP() + INTERVAL 1 DAY"}
_OWN_QUERY = """\
-- Put in your table and its columns. docs/own-shop.md says what each of the three must be.
SELECT order_id,
       status,
       updated_at
FROM orders
WHERE (updated_at >= :window_start AND updated_at < :window_end)
   -- Rows of no window: they are rejected and counted, not missed.
   OR updated_at IS NULL OR updated_at < '1990-01-01' OR updated_at >= {later_than_a_day}
"""
_OWN_SHOP = """\
# yaml-language-server: $schema=
# All further keys have defaults: docs/shop-file.md.
shop:
warehouse_conn_id:
rees46_conn_id:
ledger_conn_id:
query:
# Your own statuses: the doctor lists those that it finds, with the lines to add.
statuses:
  created: [new]
  completed: [completed]
  cancelled: [cancelled]
"""


@dataclass(frozen=True)
class NewShop:
    """
    The answers.

    :param system: an example's name, :data:`OWN`, or the path of a query.
    :param warehouse: an Airflow connection, as a URI or JSON; ``ledger`` too.
    """

    name: str
    system: str
    warehouse: str
    shop_id: str
    secret: str
    ledger: str

    @property
    def files(self) -> Mapping[Path, str]:
        """The files to write, and their content: the shop file, and the query unless there is one already."""
        folder = shops_dir(environment.PROJECT)
        query = query_file(self.name)
        found: dict[Path, str] = {}
        if self.system == OWN:
            shop = _OWN_SHOP
            kind = self.warehouse_type
            found[query] = _OWN_QUERY.format(later_than_a_day=_LATER_THAN_A_DAY.get(kind, "now() + INTERVAL '1 day'"))
        elif self.system in SYSTEMS:
            shop = (SHOPS / "examples" / f"{self.system}.yaml").read_text("utf-8")
            shop = shop.replace(" Copy to include/shops/ and change what docs/shop-systems.md says.", "")
            [example] = re.findall(r"^query: \.\./(.*)$", shop, re.MULTILINE)
            if query != SHOPS.parent / example:
                found[query] = (SHOPS.parent / example).read_text("utf-8")
        else:
            shop = _OWN_SHOP
            query = Path(self.system).expanduser().resolve()
        keys = {
            "# yaml-language-server": f"$schema={os.path.relpath(SHOPS / 'shop.schema.json', folder)}",
            "shop": self.name,
            "warehouse_conn_id": f"{self.name}_warehouse",
            "rees46_conn_id": f"{self.name}_rees46",
            "ledger_conn_id": LEDGER,
            "query": os.path.relpath(query, folder),
        }
        for key, value in keys.items():
            shop = re.sub(rf"^{key}:.*$", f"{key}: {value}".replace("\\", r"\\"), shop, count=1, flags=re.MULTILINE)
        return found | {folder / f"{self.name}.yaml": shop}

    @property
    def warehouse_type(self) -> str:
        """The type of the warehouse's connection; empty if it has none."""
        if self.warehouse.startswith("{"):
            return str(json.loads(self.warehouse).get("conn_type", ""))
        return self.warehouse.partition(":")[0]

    @property
    def variables(self) -> Mapping[str, str]:
        """The three connections as lines of ``.env``."""
        rees46 = {"conn_type": "rees46", "login": self.shop_id, "password": self.secret}
        return {
            f"AIRFLOW_CONN_{self.name.upper()}_WAREHOUSE": self.warehouse,
            f"AIRFLOW_CONN_{self.name.upper()}_REES46": json.dumps(rees46),
            f"AIRFLOW_CONN_{LEDGER.upper()}": self.ledger,
        }


def query_file(name: str) -> Path:
    """Return the path of the query of a new shop: in ``sql`` beside the folder of shop files if that exists."""
    folder = shops_dir(environment.PROJECT)
    beside = folder.parent / "sql"
    return (beside if beside.is_dir() else folder) / f"{name}_orders.sql"


def add_variables(env_file: Path, variables: Mapping[str, str]) -> list[str]:
    """
    Add the variables that ``.env`` does not have, and make it readable by its owner alone.

    :return: the names of the variables that it had already, and keeps.
    """
    present = dotenv_values(env_file, interpolate=False) if env_file.exists() else {}
    with open(os.open(env_file, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8") as file:  # noqa: PTH123 - with a mode
        os.fchmod(file.fileno(), 0o600)
        content = file.read()
        if content and not content.endswith("\n"):
            file.write("\n")
        for name, value in variables.items():
            if name not in present:
                quoted = value.replace("\\", r"\\").replace("'", r"\'")
                file.write(f"{name}='{quoted}'\n")
    return [name for name in variables if name in present]


def lacks_password(connection: str) -> bool:
    """Return whether a connection is a URI with a login and no password."""
    return re.match(r"[a-z0-9+_-]+://[^:@/?]+@", connection) is not None


def with_password(uri: str, password: str) -> str:
    """Return a URI that :func:`lacks_password` with one, percent-encoded."""
    return uri.replace("@", f":{quote(password, safe='')}@", 1)


def _name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9_]{1,100}", value):
        raise typer.BadParameter(f"{value!r} is no name; give up to 100 of a-z, 0-9 and _")
    folder = shops_dir(environment.PROJECT)
    files = [folder / f"{value}{suffix}" for suffix in (".yaml", ".yml")]
    files += [shop.file for shop in load_shops(folder)[0] if shop.shop == value]
    if value not in SYSTEMS:  # whose query is shipped
        files.append(query_file(value))
    for file in files:
        if file.exists():
            raise typer.BadParameter(f"{file} is there already; give another name")
    return value


def _system(value: str) -> str:
    if value not in (*SYSTEMS, OWN):
        try:
            read_query(Path(value).expanduser())
        except ValueError as problem:
            known = f"give one of the names, {OWN}, or the path of a query"
            raise typer.BadParameter(f"{value!r} is no system, and no query ({problem}); {known}") from problem
    return value


def _warehouse(context: typer.Context, value: str) -> str:
    if value.startswith("{"):
        try:
            json.loads(value)
        except ValueError as error:
            raise typer.BadParameter(f"this is not JSON ({error}); correct it, or give a URI") from error
    elif not re.match(r"[a-z0-9+_-]+:/", value):
        raise typer.BadParameter("this is no URI; give one such as mysql://login@host:3306/database")
    value = re.sub(r"^mariadb:", "mysql:", value)  # Airflow has one type for both
    if not lacks_password(value):
        return value
    password = context.params["password"]
    if password is None and sys.stdin.isatty():
        password = typer.prompt("   Its password (not shown)", "", hide_input=True, show_default=False)
    return with_password(value, password) if password else value


def _read_variables(env_file: Path) -> Path:
    environment.configure_environment(env_file)
    return env_file


def main(
    name: Annotated[
        str, typer.Option(prompt="1. Name of the shop (a-z, 0-9 and _)", callback=_name, help="a-z, 0-9 and _")
    ],
    system: Annotated[
        str,
        typer.Option(
            prompt=f"2. Shop system: {', '.join(SYSTEMS)};\n   or {OWN}, or the path of your own query\n  ",
            callback=_system,
            help=f"one of {', '.join(SYSTEMS)}; {OWN}; or the path of your own query",
        ),
    ],
    warehouse: Annotated[
        str,
        typer.Option(
            prompt="3. Warehouse, such as mysql://login@host:3306/database\n   or sqlite:////srv/shop.db\n  ",
            callback=_warehouse,
            help="an Airflow connection, as a URI or JSON",
        ),
    ],
    shop_id: Annotated[str, typer.Option(prompt="4. REES46 shop id (store key)", help="REES46's store key")],
    secret: Annotated[
        str,
        typer.Option(
            prompt="5. REES46 secret key (not shown)",
            hide_input=True,
            envvar="NEW_SHOP_SECRET",
            help="REES46's secret key",
        ),
    ],
    password: Annotated[  # noqa: ARG001 - _warehouse takes it
        str | None,
        typer.Option(is_eager=True, envvar="NEW_SHOP_PASSWORD", help="the warehouse's, if its URI has none"),
    ] = None,
    ledger: Annotated[
        str, typer.Option(help="an Airflow connection, as a URI or JSON")
    ] = f"sqlite:///{quote(str(Path.home()))}/rees46-ledger.db",
    env_file: Annotated[
        Path, typer.Option(is_eager=True, callback=_read_variables, help="variables for Airflow")
    ] = environment.PROJECT / ".env",
) -> None:
    """Write a new shop's file, its query and its lines of .env, then run the doctor for it."""
    shop = NewShop(name, system, warehouse, shop_id, secret, ledger)
    files = shop.files
    if there := next((file for file in files if file.exists()), None):
        raise typer.BadParameter(f"{there} is there already; give another name")
    try:
        for file, content in files.items():
            with file.open("x", encoding="utf-8") as new:
                new.write(content)
            typer.echo(f"Written: {file}")
        kept = add_variables(env_file, shop.variables)
    except OSError as error:
        sys.exit(f"{error.filename} cannot be written ({error.strerror}); give yourself the right to write there")
    typer.echo(f"Written: {env_file}, {len(shop.variables) - len(kept)} connections")
    for variable in kept:
        typer.echo(f"Kept:    {variable}, which {env_file} has already")
    code = examine([name, "--env-file", str(env_file)])
    task = {OWN: "Put your table into"}.get(system, "Read the head of")
    steps = [
        *(f"{task} {file}" for file in files if file.suffix == ".sql"),
        f"Correct what is reported above: make doctor SHOP={name}",
        f"Try it against the sandbox: make try SHOP={name}",
    ]
    typer.echo("\nNext:")
    for number, step in enumerate(steps, 1):
        typer.echo(f"  {number}. {step}")
    sys.exit(code)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(main)
    app()
