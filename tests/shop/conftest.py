"""What the tests of shop files share: the text of a shop file with some changes, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rees46_sync.exceptions import ShopFileError
from rees46_sync.shop.shop import Shop
from rees46_sync.shop.shop_file import load_shop

SELECT = "SELECT order_id, status, updated_at FROM orders WHERE "


IN_WINDOW = "updated_at >= :window_start AND updated_at < :window_end"


QUERY = SELECT + IN_WINDOW


KEYS = {
    "shop": "test",
    "warehouse_conn_id": "warehouse",
    "rees46_conn_id": "rees46",
    "ledger_conn_id": "ledger",
    "query": "orders.sql",
    "statuses": {"created": "[new]", "completed": "[delivered]", "cancelled": "[cancelled]"},
}
"""A shop file, each value as it is written in YAML."""


GONE = None


def shop_text(changes: dict[str, str | None] | None = None) -> str:
    """A shop file in which some keys ("statuses.created" for one inside) have another value, or are gone."""
    content: dict[str, Any] = {key: dict(value) if isinstance(value, dict) else value for key, value in KEYS.items()}
    for path, value in (changes or {}).items():
        *outer, key = path.split(".")
        holder = content.setdefault(outer[0], {}) if outer else content
        holder[key] = value
    lines = []
    for key, value in content.items():
        if isinstance(value, dict):
            inside = ", ".join(f"{name}: {item}" for name, item in value.items() if item is not GONE)
            lines.append(f"{key}: {{{inside}}}\n")
        elif value is not GONE:
            lines.append(f"{key}: {value}\n")
    return "".join(lines)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of shop files, with a query file and no shop."""
    (tmp_path / "orders.sql").write_text(QUERY)
    return tmp_path


def load(folder: Path, text: str | bytes) -> Shop:
    file = folder / "shop.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_shop(file)


def problem_of(folder: Path, text: str | bytes) -> str:
    """The error's text after the file's name."""
    with pytest.raises(ShopFileError) as caught:
        load(folder, text)
    message = str(caught.value)
    assert message.startswith("Shop file shop.yaml: ")
    assert message.endswith(".")
    return message.removeprefix("Shop file shop.yaml: ")
