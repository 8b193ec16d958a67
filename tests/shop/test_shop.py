"""What a shop file promises: a usable one means what it says, a broken one says what to mend."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rees46_sync.exceptions import ShopFileError
from rees46_sync.shop.shop import (
    CANCELLED,
    COMPLETED,
    CREATED,
    Query,
    Shop,
    load_shop,
    load_shops,
    read_query,
    shops_dir,
)
from tests.conftest import PROJECT

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


def fault_of(folder: Path, text: str | bytes) -> str:
    """What the error says after the file's name."""
    with pytest.raises(ShopFileError) as caught:
        load(folder, text)
    message = str(caught.value)
    assert message.startswith("Shop file shop.yaml: ")
    assert message.endswith(".")
    return message.removeprefix("Shop file shop.yaml: ")


def test_the_demo_shop_has_the_documented_defaults() -> None:
    demo = PROJECT / "include" / "shops" / "demo.yaml"

    shop = load_shop(demo)

    assert shop.file == demo
    assert shop.model_dump() == {
        "shop": "demo",
        "warehouse_conn_id": "demo_warehouse",
        "rees46_conn_id": "demo_rees46",
        "ledger_conn_id": "demo_ledger",
        "query": PROJECT / "include" / "sql" / "demo_orders.sql",
        "statuses": {
            "created": ("new", "paid", "shipped"),
            "completed": ("delivered",),
            "cancelled": ("cancelled", "refunded", "fraud"),
        },
        "schedule": "@hourly",
        "lookback": timedelta(hours=24),
        "partition_rows": 250_000,
        "limits": {"rejected_share": 0.05, "changed_orders": 100_000},
        "on_limit": "fail",
        "approval_timeout": timedelta(hours=12),
        "allow_reopen": False,
        "feed_asset": None,
        "staging": None,
        "keep_days": None,
        "freshness": timedelta(hours=24),
        "notify": (),
        "alerts": {"rejected_share": 0.01, "volume_factor": 5},
    }


def test_each_status_has_the_code_of_its_list(folder: Path) -> None:
    shop = load(folder, shop_text({"statuses.created": "[new, paid]", "statuses.cancelled": "[lost, fraud]"}))

    assert shop.codes == {
        "new": CREATED,
        "paid": CREATED,
        "delivered": COMPLETED,
        "lost": CANCELLED,
        "fraud": CANCELLED,
    }
    assert (CREATED, COMPLETED, CANCELLED) == (0, 1, 2)


# The shop files that are usable

USABLE = [
    pytest.param("shop", "007", "007", id="name-of-digits"),
    pytest.param("shop", "no", "no", id="name-that-yaml-takes-for-false"),
    pytest.param("shop", "x" * 100, "x" * 100, id="longest-name"),
    pytest.param("warehouse_conn_id", '" my warehouse "', "my warehouse", id="connection-trimmed"),
    pytest.param("schedule", "30 */2 * * 1-5", "30 */2 * * 1-5", id="cron"),
    pytest.param("schedule", '"@daily"', "@daily", id="preset"),
    pytest.param("lookback", "0h", timedelta(0), id="no-lookback"),
    pytest.param("lookback", "90s", timedelta(seconds=90), id="seconds"),
    pytest.param("lookback", "30m", timedelta(minutes=30), id="minutes"),
    pytest.param("lookback", "36h", timedelta(hours=36), id="hours"),
    pytest.param("lookback", "007d", timedelta(days=7), id="days"),
    pytest.param("lookback", "2w", timedelta(weeks=2), id="weeks"),
    pytest.param("partition_rows", "1", 1, id="one-row"),
    pytest.param("keep_days", "60", 60, id="fewest-days"),
    pytest.param("keep_days", "null", None, id="for-ever"),
    pytest.param("limits", "{}", {"rejected_share": 0.05, "changed_orders": 100_000}, id="limits-of-the-defaults"),
    pytest.param("limits.rejected_share", "0", {"rejected_share": 0, "changed_orders": 100_000}, id="no-rejected-row"),
    pytest.param("limits.rejected_share", "1", {"rejected_share": 1, "changed_orders": 100_000}, id="every-row"),
    pytest.param("limits.changed_orders", "0", {"rejected_share": 0.05, "changed_orders": 0}, id="no-changed-order"),
    pytest.param("on_limit", "ask", "ask", id="ask"),
    pytest.param("approval_timeout", "1s", timedelta(seconds=1), id="shortest-wait"),
    pytest.param("approval_timeout", "6d", timedelta(days=6), id="longest-wait"),
    pytest.param("allow_reopen", "true", True, id="reopen"),
    pytest.param("allow_reopen", "no", False, id="no-reopen"),
    pytest.param("feed_asset", "s3://bucket/feed.csv", "s3://bucket/feed.csv", id="asset"),
    pytest.param("feed_asset", "null", None, id="no-asset"),
    pytest.param("staging", "s3://conn@bucket/folder", "s3://conn@bucket/folder", id="object-storage"),
    pytest.param("staging", "file:///var/staging", "file:///var/staging", id="file-url"),
    pytest.param("staging", "~", None, id="default-staging"),
]


@pytest.mark.parametrize(("key", "value", "meaning"), USABLE)
def test_a_usable_value_means_what_it_says(folder: Path, key: str, value: str, meaning: object) -> None:
    shop = load(folder, shop_text({key: value}))

    assert shop.model_dump()[key.partition(".")[0]] == meaning


@pytest.mark.parametrize(
    ("written", "status"),
    [
        pytest.param("007", "007", id="leading-zeros"),
        pytest.param("no", "no", id="no"),
        pytest.param("On", "On", id="on"),
        pytest.param("true", "true", id="true"),
        pytest.param("1e3", "1e3", id="float"),
        pytest.param("1_000", "1_000", id="underscore"),
        pytest.param("0x1F", "0x1F", id="hex"),
        pytest.param("2026-01-01", "2026-01-01", id="date"),
        pytest.param('"12:30:00"', "12:30:00", id="time"),
        pytest.param(".inf", ".inf", id="infinity"),
        pytest.param("=", "=", id="value-tag"),
        pytest.param("'null'", "null", id="quoted-null"),
        pytest.param('"\\u00e9"', "é", id="escape"),
        pytest.param("в пути", "в пути", id="inner-space"),
        pytest.param("'  paid\u00a0'", "paid", id="trimmed"),
        pytest.param("NEW", "NEW", id="case-counts"),
    ],
)
def test_a_status_stays_the_text_that_was_written(folder: Path, written: str, status: str) -> None:
    assert load(folder, shop_text({"statuses.created": f"[new, {written}]"})).statuses.created == ("new", status)


@pytest.mark.parametrize("name", ["created", "cancelled"])
def test_a_shop_may_have_no_open_or_no_cancelled_orders(folder: Path, name: str) -> None:
    assert load(folder, shop_text({f"statuses.{name}": "[]"})).model_dump()["statuses"][name] == ()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\xef\xbb\xbf" + shop_text().encode(), id="byte-order-mark"),
        pytest.param(shop_text().replace("\n", "\r\n").encode(), id="windows-line-ends"),
        pytest.param(
            b"--- # \xd0\xbc\xd0\xb0\xd0\xb3\xd0\xb0\xd0\xb7\xd0\xb8\xd0\xbd\n" + shop_text().encode(), id="comment"
        ),
        pytest.param(shop_text().rstrip("\n").encode(), id="no-last-line-end"),
    ],
)
def test_an_editors_habits_do_not_matter(folder: Path, content: bytes) -> None:
    assert load(folder, content).model_dump() == load(folder, shop_text()).model_dump()


@pytest.mark.parametrize("place", ["query.sql", "../query.sql", "sql/query.sql", "{folder}/query.sql"])
def test_the_query_is_found_from_the_shop_file(folder: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shops = folder / "shops"
    written = place.format(folder=folder)
    query = (shops / written).resolve()
    shops.mkdir()
    query.parent.mkdir(exist_ok=True)
    query.write_text(QUERY)
    monkeypatch.chdir("/")  # the folder of the process does not count

    assert load(shops, shop_text({"query": written})).query == query


# The shop files that are not

REMEDIES = {
    "shop": "a-z, 0-9 and _",
    "warehouse_conn_id": "the id of the Airflow connection of the warehouse",
    "rees46_conn_id": "the id of the Airflow connection that holds the shop's REES46 keys",
    "ledger_conn_id": "the id of the Airflow connection of the ledger's database",
    "query": "relative to the shop file",
    "statuses": "created, completed and cancelled",
    "statuses.created": "list of the shop's statuses of open orders",
    "statuses.completed": "list of the shop's statuses that mean paid and delivered",
    "statuses.cancelled": "list of the shop's statuses that mean cancelled",
    "schedule": '"@hourly" or "30 * * * *"',
    "lookback": "a number and s, m, h, d or w",
    "partition_rows": "1 or more",
    "limits": "rejected_share and changed_orders",
    "limits.rejected_share": "0 to 1",
    "limits.changed_orders": "0 or more",
    "on_limit": "fail stops the run, ask waits for a person's approval",
    "approval_timeout": "from 1s to 6d",
    "allow_reopen": "true or false",
    "feed_asset": "the URI of an Airflow asset",
    "staging": "an object storage URL",
    "keep_days": "60 or more, or null for ever",
    "freshness": "a number and s, m, h, d or w",
    "notify": "one of email, slack and webhook",
    "alerts": "rejected_share and volume_factor",
    "alerts.rejected_share": "0 to 1",
    "alerts.volume_factor": "a number above 1",
}
REQUIRED = [key for key in REMEDIES if Shop.model_fields[key.partition(".")[0]].is_required()]


def test_each_key_has_a_remedy_here() -> None:
    assert {key.partition(".")[0] for key in REMEDIES} == set(Shop.model_fields)


@pytest.mark.parametrize("key", REQUIRED)
def test_a_missing_key_is_named_with_what_to_give(folder: Path, key: str) -> None:
    fault = fault_of(folder, shop_text({key: GONE}))

    assert f"{key} is missing; give " in fault
    assert REMEDIES[key] in fault


@pytest.mark.parametrize("key", [key for key in REMEDIES if key not in ("feed_asset", "staging", "keep_days")])
def test_a_key_without_a_value_is_named_with_what_to_give(folder: Path, key: str) -> None:
    fault = fault_of(folder, shop_text({key: "null"}))

    assert fault.startswith(f"{key} ")
    assert REMEDIES[key] in fault


WRONG_VALUES: list[tuple[str, str, str]] = [
    ("shop", "Shop", "upper-case"),
    ("shop", "my-shop", "dash"),
    ("shop", "магазин", "unicode"),
    ("shop", "shop\u0661", "unicode-digit"),
    ("shop", '""', "empty"),
    ("shop", '" "', "blank"),
    ("shop", '" test"', "space-around"),
    ("shop", '"test\\n"', "line-end"),
    ("shop", "a.b", "dot"),
    ("shop", "a/b", "slash"),
    ("shop", "x" * 101, "too-long"),
    ("shop", "[test]", "list"),
    ("warehouse_conn_id", '" "', "blank"),
    ("warehouse_conn_id", "[warehouse]", "list"),
    ("rees46_conn_id", '""', "empty"),
    ("rees46_conn_id", "[rees46]", "list"),
    ("ledger_conn_id", "x" * 251, "too-long"),
    ("query", "[orders.sql]", "list"),
    ("query", "missing.sql", "no-such-file"),
    ("query", '""', "empty"),
    ("query", "'  '", "blank"),
    ("query", ".", "folder"),
    ("statuses", "new", "text"),
    ("statuses", "[new]", "list"),
    ("statuses.created", "new", "text-for-a-list"),
    ("statuses.completed", "[]", "empty-list"),
    ("schedule", "every hour", "no-cron"),
    ("schedule", '""', "empty"),
    ("schedule", "60 * * * *", "minute-60"),
    ("schedule", '"* * * *"', "four-fields"),
    ("schedule", '"*/0 * * * *"', "step-0"),
    ("schedule", "0 0 30 2 *", "never-comes"),
    ("schedule", '"@once"', "once"),
    ("schedule", '"@reboot"', "reboot"),
    ("schedule", "H * * * *", "jenkins"),
    ("schedule", "[0 * * * *]", "list"),
    ("lookback", "-1h", "negative"),
    ("lookback", "24", "no-unit"),
    ("lookback", "0", "zero-without-unit"),
    ("lookback", "1.5h", "fraction"),
    ("lookback", "24 h", "space"),
    ("lookback", "24H", "upper-case"),
    ("lookback", "24hours", "long-unit"),
    ("lookback", "h", "no-number"),
    ("lookback", "٣h", "arabic-digit"),
    ("lookback", '""', "empty"),
    ("lookback", ".inf", "infinity"),
    ("lookback", "[24h]", "list"),
    ("lookback", "99999999999w", "longer-than-python-can-say"),
    ("lookback", "999999w", "before-the-first-year"),
    ("keep_days", "59", "too-few"),
    ("keep_days", "forever", "text"),
    ("partition_rows", "0", "zero"),
    ("partition_rows", "-1", "negative"),
    ("partition_rows", "many", "text"),
    ("partition_rows", "2.5", "fraction"),
    ("partition_rows", "[1]", "list"),
    ("partition_rows", "1" + "0" * 30, "beyond-64-bits"),
    ("limits", "0.05", "number"),
    ("limits", "[0.05]", "list"),
    ("limits.rejected_share", "-0.01", "negative"),
    ("limits.rejected_share", "1.01", "above-1"),
    ("limits.rejected_share", "5", "percent-as-number"),
    ("limits.rejected_share", "5%", "percent"),
    ("limits.rejected_share", "nan", "nan"),
    ("limits.rejected_share", ".nan", "yaml-nan"),
    ("limits.rejected_share", "inf", "inf"),
    ("limits.rejected_share", "-.inf", "yaml-inf"),
    ("limits.rejected_share", "some", "text"),
    ("limits.rejected_share", "'0,05'", "comma"),
    ("limits.changed_orders", "-1", "negative"),
    ("limits.changed_orders", "0.5", "fraction"),
    ("limits.changed_orders", ".inf", "infinity"),
    ("limits.changed_orders", "all", "text"),
    ("on_limit", "approve", "another-word"),
    ("on_limit", "true", "boolean"),
    ("approval_timeout", "0h", "zero"),
    ("approval_timeout", "7d", "longer-than-staged-files-are-kept"),
    ("approval_timeout", "12", "no-unit"),
    ("allow_reopen", "maybe", "text"),
    ("allow_reopen", "2", "number"),
    ("allow_reopen", "[true]", "list"),
    ("feed_asset", "products", "name"),
    ("feed_asset", '""', "empty"),
    ("feed_asset", "s3//bucket/feed.csv", "no-colon"),
    ("feed_asset", "s3://bucket/my feed.csv", "space"),
    ("feed_asset", "airflow://feed", "scheme-that-airflow-reserves"),
    ("feed_asset", "postgres://warehouse", "uri-that-airflow-refuses"),
    ("feed_asset", "[s3://bucket/feed.csv]", "list"),
    ("staging", "folder/staging", "relative"),
    ("staging", "~/staging", "home"),
    ("staging", '""', "empty"),
    ("staging", "bucket", "name"),
    ("staging", "s3://bucket/my folder", "space"),
    ("staging", "[s3://bucket]", "list"),
]


@pytest.mark.parametrize(
    ("key", "value"), [pytest.param(key, value, id=f"{key}-{what}") for key, value, what in WRONG_VALUES]
)
def test_a_wrong_value_is_named_with_its_key_and_what_to_give(folder: Path, key: str, value: str) -> None:
    fault = fault_of(folder, shop_text({key: value}))

    shown = "empty" if value == "[]" else value.strip("\"'[]").strip()
    assert fault.startswith(f"{key} is ")
    assert shown[:80] in fault
    assert REMEDIES[key] in fault
    assert "Also" not in fault


@pytest.mark.parametrize(
    "item",
    [
        pytest.param("null", id="null"),
        pytest.param("' '", id="blank"),
        pytest.param("'\u00a0'", id="no-break-space"),
        pytest.param("[new]", id="list"),
        pytest.param("{waiting: payment}", id="unquoted-colon"),
        pytest.param("!!timestamp 2026-01-01", id="date"),
        pytest.param("x" * 251, id="too-long"),
    ],
)
@pytest.mark.parametrize("name", ["created", "completed", "cancelled"])
def test_a_status_that_is_no_text_is_the_only_fault_and_named_with_its_place(
    folder: Path, name: str, item: str
) -> None:
    fault = fault_of(folder, shop_text({f"statuses.{name}": f"[{item}]"}))

    assert fault.startswith(f"statuses.{name}.")
    assert REMEDIES[f"statuses.{name}"] in fault
    assert "Also" not in fault


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"statuses.created": "[lost, lost]"}, id="in-a-list"),
        pytest.param({"statuses.created": "[lost, ' lost ']"}, id="in-a-list-after-trimming"),
        pytest.param({"statuses.created": "[lost]", "statuses.completed": "[lost]"}, id="in-two-lists"),
        pytest.param({"statuses.completed": "[lost]", "statuses.cancelled": '["\\tlost"]'}, id="in-two-after-trimming"),
        pytest.param({"statuses.created": "&open [lost]", "statuses.cancelled": "*open"}, id="by-an-alias"),
        pytest.param({"statuses.created": "[lost, lost]", "statuses.cancelled": "[lost]"}, id="three-times"),
    ],
)
def test_a_status_that_stands_twice_is_named(folder: Path, changes: dict[str, str | None]) -> None:
    fault = fault_of(folder, shop_text(changes))

    assert fault.startswith("statuses lists 'lost' twice; give ")
    assert "each once" in fault


@pytest.mark.parametrize(
    ("key", "known"),
    [
        pytest.param("shedule", ["schedule", "lookback", "staging"], id="misspelled"),
        pytest.param("Query", ["query"], id="upper-case"),
        pytest.param("7", ["schedule", "lookback"], id="number"),
        pytest.param("statuses.canceled", ["created, completed, cancelled"], id="in-statuses"),
        pytest.param("limits.rejected", ["rejected_share, changed_orders"], id="in-limits"),
    ],
)
def test_an_unknown_key_is_named_with_the_known_ones(folder: Path, key: str, known: list[str]) -> None:
    fault = fault_of(folder, shop_text({key: "x"}))

    assert fault.startswith(f"{key} is not a known key; correct its spelling or remove it")
    assert all(word in fault for word in known)


def test_every_fault_of_a_file_is_named_at_once(folder: Path) -> None:
    fault = fault_of(folder, shop_text({"shop": "My Shop", "query": GONE, "lookback": "-1h", "shedule": "x"}))

    assert [part.split()[0] for part in fault.split(". Also: ")] == ["shop", "query", "lookback", "shedule"]


NOT_YAML = [
    pytest.param(shop_text() + "limits: [1\n", ["is not YAML", "line 8", "correct"], id="open-bracket"),
    pytest.param("statuses:\n\tcreated: [new]\n", ["is not YAML", "line 2", r"\t", "correct"], id="tab"),
    pytest.param(shop_text() + "shop: other\n", ["'shop'", "twice", "line 7"], id="key-twice"),
    pytest.param(
        shop_text({"statuses": "{created: [a], created: [b]}"}), ["'created'", "twice", "line 6"], id="inner-key-twice"
    ),
    pytest.param(shop_text() + "---\n" + shop_text(), ["is not YAML", "another document"], id="two-documents"),
    pytest.param(shop_text({"shop": "*name"}), ["is not YAML", "name", "line 1"], id="alias-of-nothing"),
    pytest.param(shop_text({"shop": "!!python/name:os.system"}), ["is not YAML", "line 1"], id="python-tag"),
    pytest.param(shop_text({"partition_rows": "!!int many"}), ["is not YAML"], id="no-int"),
    pytest.param(shop_text({"allow_reopen": "!!bool maybe"}), ["is not YAML"], id="no-bool"),
    pytest.param(shop_text({"lookback": "!!timestamp 1d"}), ["is not YAML"], id="no-timestamp"),
    pytest.param(shop_text() + "? [a, b]\n: c\n", ["is not YAML", "line 7"], id="list-as-key"),
    pytest.param(shop_text() + "? {a: b}\n: c\n", ["is not YAML", "line 7"], id="mapping-as-key"),
    pytest.param(shop_text() + "~: c\n", ["null", "known keys"], id="null-as-key"),
    pytest.param(shop_text() + "\x00", ["is not YAML", "#x0000"], id="nul"),
    pytest.param("limits: " + "[" * 2000, ["is not YAML"], id="nested-without-end"),
    pytest.param(shop_text({"shop": "caf\xe9"}).encode("latin-1"), ["cannot be read", "UTF-8"], id="latin-1"),
    pytest.param(shop_text().encode("utf-16"), ["cannot be read", "UTF-8"], id="utf-16"),
    pytest.param("", ["keys with values", "include/shops/demo.yaml"], id="empty"),
    pytest.param("# shop: test\n", ["keys with values", "include/shops/demo.yaml"], id="only-comments"),
    pytest.param("- shop: test\n", ["keys with values", "include/shops/demo.yaml"], id="list"),
    pytest.param("shop", ["keys with values", "include/shops/demo.yaml"], id="text"),
    pytest.param("null", ["keys with values", "include/shops/demo.yaml"], id="null"),
]


@pytest.mark.parametrize(("content", "words"), NOT_YAML)
def test_a_file_that_is_no_mapping_in_yaml_says_where_it_breaks(
    folder: Path, content: str | bytes, words: list[str]
) -> None:
    fault = fault_of(folder, content)

    assert [word for word in words if word not in fault] == []


@pytest.mark.parametrize("kind", ["folder", "dangling-link"])
def test_what_is_no_file_is_reported_as_unreadable(folder: Path, kind: str) -> None:
    file = folder / "shop.yaml"
    file.mkdir() if kind == "folder" else file.symlink_to(folder / "gone.yaml")

    with pytest.raises(ShopFileError, match=r"Shop file shop\.yaml: cannot be read .*; make it a readable UTF-8 file"):
        load_shop(file)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param("shop", "null", id="null"),
        pytest.param("query", "[orders.sql]", id="list-for-a-path"),
        pytest.param("statuses", "new", id="text-for-a-mapping"),
        pytest.param("statuses.created", "new", id="text-for-a-list"),
        pytest.param("lookback", "soon", id="text-for-a-duration"),
        pytest.param("lookback", "-PT1H", id="negative-duration"),
        pytest.param("limits", "5", id="number-for-a-mapping"),
    ],
)
def test_an_error_speaks_of_the_file_and_not_of_python(folder: Path, key: str, value: str) -> None:
    fault = fault_of(folder, shop_text({key: value}))

    jargon = ["None", "tuple", "dictionary", "instance", "timedelta", "<class", "identifier", "parse"]
    assert [word for word in jargon if word in fault] == []


# Query files

UNUSABLE_QUERIES = [
    pytest.param("", ["0 statements", "one SELECT"], id="empty"),
    pytest.param("-- " + QUERY, ["0 statements", "one SELECT"], id="only-a-comment"),
    pytest.param("/* " + QUERY + " */", ["0 statements", "one SELECT"], id="only-a-block-comment"),
    pytest.param(QUERY + ";\n" + QUERY, ["2 statements", "one SELECT"], id="two-statements"),
    pytest.param("SET x = 1; " + QUERY, ["2 statements", "one SELECT"], id="statement-before"),
    pytest.param("DELETE FROM orders WHERE " + IN_WINDOW, ["SELECT"], id="delete"),
    pytest.param("UPDATE orders SET status = '' WHERE " + IN_WINDOW, ["SELECT"], id="update"),
    pytest.param("INSERT INTO orders " + QUERY, ["SELECT"], id="insert"),
    pytest.param("CREATE TABLE copies AS " + QUERY, ["SELECT"], id="create"),
    pytest.param(SELECT + "1 = 1", [":window_start and :window_end", "write"], id="no-parameter"),
    pytest.param(SELECT + "updated_at >= :window_start", ["not bind :window_end", "write"], id="only-start"),
    pytest.param(SELECT + "updated_at < :window_end", ["not bind :window_start", "write"], id="only-end"),
    pytest.param(SELECT + IN_WINDOW.upper(), [":window_start and :window_end", "write"], id="upper-case"),
    pytest.param(SELECT + IN_WINDOW.replace("end", "end2"), ["not bind :window_end", "write"], id="longer-name"),
    pytest.param(QUERY + " AND shop = :shop", ["binds :shop", "only :window_start"], id="third-parameter"),
    pytest.param(SELECT + "1 = 1 -- " + IN_WINDOW, ["not bind", "outside comments"], id="in-a-comment"),
    pytest.param(SELECT + "1 = 1 /* " + IN_WINDOW + " */", ["not bind", "outside comments"], id="in-a-block-comment"),
    pytest.param(SELECT + f"status <> '{IN_WINDOW}'", ["not bind", "quotes"], id="in-a-string"),
    pytest.param(SELECT + f'"{IN_WINDOW}" = 1', ["not bind", "quotes"], id="in-a-quoted-name"),
    pytest.param(SELECT + "updated_at >= ? AND updated_at < ?", ["not bind", ":window_start"], id="question-marks"),
    pytest.param(QUERY + " AND shop = ?", ["binds ?", "only :window_start"], id="question-mark-beside"),
    pytest.param(SELECT + "updated_at >= %s AND updated_at < %s", ["not bind", ":window_start"], id="percent-s"),
    pytest.param(
        SELECT + "updated_at >= %(window_start)s AND updated_at < %(window_end)s", ["not bind"], id="pyformat"
    ),
    pytest.param(SELECT + "updated_at >= $1 AND updated_at < $2", ["not bind", ":window_start"], id="dollars"),
    pytest.param(SELECT + "updated_at >= @window_start AND updated_at < @window_end", ["not bind"], id="at-signs"),
    pytest.param(SELECT + "updated_at >= {{ ds }} AND updated_at < {{ ds }}", ["not bind"], id="template"),
    pytest.param(("-- caf\xe9\n" + QUERY).encode("latin-1"), ["cannot be read", "UTF-8"], id="latin-1"),
]


@pytest.mark.parametrize(("query", "words"), UNUSABLE_QUERIES)
def test_an_unusable_query_is_named_with_what_to_write(folder: Path, query: str | bytes, words: list[str]) -> None:
    (folder / "broken.sql").write_bytes(query if isinstance(query, bytes) else query.encode())

    fault = fault_of(folder, shop_text({"query": "broken.sql"}))

    assert fault.startswith("query is 'broken.sql' and ")
    assert [word for word in words if word not in fault] == []


def rows_by_sqlite_itself(sql: str) -> list[Any]:
    """The answer to a query file's own text, with SQLite's own named parameters."""
    with closing(sqlite3.connect(":memory:")) as db:
        return db.execute(sql, {"window_start": "2026-03-01 00:00:00", "window_end": "2026-03-02 00:00:00"}).fetchall()


def rows_by_way_of_sqlalchemy(query: Query) -> list[Any]:
    """The answer to a query as the sync asks it."""
    bounds = {"window_start": "2026-03-01 00:00:00", "window_end": "2026-03-02 00:00:00"}
    engine = sa.create_engine("sqlite://")
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(*query.for_driver("qmark", bounds))]
    finally:
        engine.dispose()


WINDOW_COLUMNS = "SELECT :window_start, :window_end"


@pytest.mark.parametrize(
    "sql",
    [
        pytest.param(WINDOW_COLUMNS + ", ':window_start'", id="parameter-in-a-string"),
        pytest.param(WINDOW_COLUMNS + ", 'state:paid', 'a:b:c'", id="colons-in-strings"),
        pytest.param(WINDOW_COLUMNS + ", ':a:', 'HH24:MI:', 'a:b:'", id="colon-at-the-end-of-a-string"),
        pytest.param(WINDOW_COLUMNS + ", '::a', 'a::b', 'a:::b'", id="double-colons-in-strings"),
        pytest.param(WINDOW_COLUMNS + r", '\:a', '\\:a', '\: '", id="backslash-before-a-colon"),
        pytest.param(WINDOW_COLUMNS + ", strftime('%H:%M:%S', '2026-01-01 12:30:45')", id="time-format"),
        pytest.param(WINDOW_COLUMNS + ", 'it''s :a; -- no comment', '/* nor this */'", id="quotes-in-a-string"),
        pytest.param(WINDOW_COLUMNS + ", '?', '%s', '%(a)s', '%', '$1', '{a}'", id="other-parameters-in-strings"),
        pytest.param(WINDOW_COLUMNS + ', 1 AS "a:b", 2 AS `c:d`, 3 AS [e:f]', id="colons-in-names"),
        pytest.param(WINDOW_COLUMNS + ", 7 % 4", id="modulo"),
        pytest.param(WINDOW_COLUMNS + ", 'заказ:да', '🛒:a'", id="unicode"),
        pytest.param(WINDOW_COLUMNS + ", 'two\nlines:a'", id="line-end-in-a-string"),
        pytest.param("-- it's a :comment; really\n" + WINDOW_COLUMNS + "\n-- the end", id="line-comments"),
        pytest.param("SELECT/* it's\n:a; */:window_start,:window_end/**/", id="block-comments"),
        pytest.param("SELECT 1,-- one\n:window_start -- :a\n, :window_end", id="comments-between"),
        pytest.param(f"{WINDOW_COLUMNS} UNION/**/ALL--\n{WINDOW_COLUMNS}", id="comments-as-the-only-space"),
        pytest.param(WINDOW_COLUMNS + ";\n\n-- the end\n", id="semicolon-before-a-comment"),
        pytest.param(WINDOW_COLUMNS + "\n-- the end\n;\n", id="semicolon-after-a-comment"),
        pytest.param("WITH a AS (SELECT :window_start AS x) SELECT x, :window_end FROM a", id="common-table"),
        pytest.param(WINDOW_COLUMNS + " UNION ALL " + WINDOW_COLUMNS, id="parameters-twice"),
        pytest.param("SELECT(:window_start)||(:window_end)", id="no-spaces"),
        pytest.param("VALUES (:window_start, :window_end)", id="values"),
        pytest.param(WINDOW_COLUMNS + ", 'a' IN (" + ", ".join(f"'{n}'" for n in range(3500)) + ")", id="long-list"),
    ],
)
def test_a_query_asks_the_database_what_its_file_says(folder: Path, sql: str) -> None:
    (folder / "orders.sql").write_text(sql)

    query = load(folder, shop_text()).query

    assert rows_by_way_of_sqlalchemy(read_query(query)) == rows_by_sqlite_itself(sql)


@pytest.fixture(scope="module")
def query_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("query") / "query.sql"


def in_dialect_free_quotes(text: str) -> bool:
    """Databases do not agree on a backslash before a quote."""
    return "\\'" not in text and not text.endswith("\\")


@settings(max_examples=200, deadline=None)
@given(
    st.text(st.sampled_from(":\\ab1 _;-/*'\"?%${}\n") | st.characters(categories=["L", "N", "P"])).filter(
        in_dialect_free_quotes
    )
)
@example(":window_start")
@example("a:b:")
@example("\\:a")
def test_any_string_reaches_the_database_as_it_is(query_file: Path, text: str) -> None:
    literal = text.replace("'", "''")
    query_file.write_text(f"SELECT '{literal}' AS text WHERE :window_start < :window_end", newline="")

    assert rows_by_way_of_sqlalchemy(read_query(query_file)) == [(text,)]


@pytest.mark.parametrize(
    "condition",
    [
        pytest.param("order_id::VARCHAR = '1'", id="cast"),
        pytest.param("updated_at >= :window_start::TIMESTAMP", id="cast-of-a-parameter"),
        pytest.param("updated_at >= (:window_start)::TIMESTAMP", id="cast-of-a-parameter-in-brackets"),
        pytest.param("updated_at >= CAST(:window_start AS TIMESTAMP)", id="sql-cast"),
        pytest.param("updated_at >= :window_start - INTERVAL '1 day'", id="interval"),
        pytest.param("order_id::VARCHAR::INT + 0::BIGINT = 1", id="cast-of-a-cast"),
        pytest.param("'12:30:00'::TIME < TIME '13:00:00'", id="times"),
        pytest.param("[1, 2, 3][1:2] = [1, 2]", id="slice"),
        pytest.param("strftime(updated_at, '%H:%M:%S') = '12:00:00'", id="time-format"),
        pytest.param("$$it's :a$$ <> $tag$ :b; $tag$", id="dollar-quotes"),
        pytest.param("{'a': 1}.a = 1", id="struct"),
        pytest.param("status <> '?' AND status NOT LIKE '%s%'", id="other-parameters-in-strings"),
    ],
)
def test_only_the_window_is_bound_where_colons_have_other_meanings(folder: Path, condition: str) -> None:
    file = folder / "orders.sql"
    file.write_text(f"{QUERY} AND {condition};")
    bounds = {"window_start": datetime(2026, 3, 1), "window_end": datetime(2026, 3, 2)}  # noqa: DTZ001 - as databases take them

    assert read_query(file).for_driver("named", bounds) == (f"{QUERY} AND {condition}", bounds)
    with closing(duckdb.connect()) as db:
        db.execute(
            "CREATE TABLE orders AS SELECT 1 AS order_id, 'new' AS status, TIMESTAMP '2026-03-01 12:00' AS updated_at"
        )
        answer = db.execute(*read_query(file).for_driver("qmark", bounds))
        assert [row[:2] for row in answer.fetchall()] == [(1, "new")]


@pytest.mark.parametrize(
    ("paramstyle", "statement", "parameters"),
    [
        ("qmark", "SELECT 5 % 2 WHERE ? < ? OR ? IS NULL", (1, 2, 1)),
        ("format", "SELECT 5 %% 2 WHERE %s < %s OR %s IS NULL", (1, 2, 1)),
        ("numeric", "SELECT 5 % 2 WHERE :1 < :2 OR :3 IS NULL", (1, 2, 1)),
        ("numeric_dollar", "SELECT 5 % 2 WHERE $1 < $2 OR $3 IS NULL", (1, 2, 1)),
        (
            "named",
            "SELECT 5 % 2 WHERE :window_start < :window_end OR :window_start IS NULL",
            {"window_start": 1, "window_end": 2},
        ),
        (
            "pyformat",
            "SELECT 5 %% 2 WHERE %(window_start)s < %(window_end)s OR %(window_start)s IS NULL",
            {"window_start": 1, "window_end": 2},
        ),
    ],
)
def test_a_query_is_written_in_the_style_of_every_driver(
    query_file: Path, paramstyle: str, statement: str, parameters: object
) -> None:
    query_file.write_text("SELECT 5 % 2 WHERE :window_start < :window_end OR :window_start IS NULL")

    assert read_query(query_file).for_driver(paramstyle, {"window_start": 1, "window_end": 2}) == (
        statement,
        parameters,
    )


# Folders of shop files


def test_a_broken_file_does_not_hide_the_others(folder: Path) -> None:
    for name in ("b", "d"):
        (folder / f"{name}.yaml").write_text(shop_text({"shop": name}))
    broken = {"a": "[", "c": shop_text({"shop": "C"}), "e": b"\xff", "f": "? [a]\n: b\n", "g": "lookback: 99999999999w"}
    for name, content in broken.items():
        (folder / f"{name}.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())

    shops, errors = load_shops(folder)

    assert [(shop.shop, shop.file) for shop in shops] == [("b", folder / "b.yaml"), ("d", folder / "d.yaml")]
    assert [str(error).split()[2] for error in errors] == [f"{name}.yaml:" for name in broken]


def test_a_query_that_nobody_can_read_does_not_hide_the_other_shops(folder: Path) -> None:
    (folder / "endless.sql").write_text(QUERY + " AND " + "(" * 2000 + "1 = 1" + ")" * 2000)
    (folder / "a.yaml").write_text(shop_text({"shop": "a", "query": "endless.sql"}))
    (folder / "b.yaml").write_text(shop_text({"shop": "b"}))

    shops, errors = load_shops(folder)

    assert shops[-1].shop == "b"
    assert len(shops) + len(errors) == 2


def test_of_two_files_of_one_shop_the_first_is_used_and_the_second_reported(folder: Path) -> None:
    for name in ("one", "two"):
        (folder / f"{name}.yaml").write_text(shop_text())

    shops, errors = load_shops(folder)

    assert [shop.file.name for shop in shops] == ["one.yaml"]
    assert [str(error) for error in errors] == [
        "Shop file two.yaml: shop is 'test', as in one.yaml; give each shop its own name."
    ]


def test_only_yaml_files_are_shop_files(folder: Path) -> None:
    for name in ("a.yaml", "b.yml"):
        (folder / name).write_text(shop_text({"shop": name[0]}))
    for name in ("c.yaml.bak", "d.txt", "yaml", "e.yaml~", "f.json"):
        (folder / name).write_text("not a shop")

    shops, errors = load_shops(folder)

    assert ([shop.shop for shop in shops], errors) == (["a", "b"], [])


@pytest.mark.parametrize("name", ["", "missing"])
def test_a_folder_without_shop_files_is_reported(folder: Path, name: str) -> None:
    shops, errors = load_shops(folder / name)

    assert shops == []
    assert [str(error) for error in errors] == [
        f"Shop file {folder / name}/*.yaml: there is none; write one, or set REES46_SHOPS_DIR."
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("/etc/shops", "/etc/shops", id="set"),
        pytest.param("shops", "{cwd}/shops", id="relative-to-the-process"),
        pytest.param("", "/project/include/shops", id="set-to-nothing"),
        pytest.param(None, "/project/include/shops", id="not-set"),
    ],
)
def test_the_environment_says_where_the_shop_files_are(
    monkeypatch: pytest.MonkeyPatch, value: str | None, expected: str
) -> None:
    if value is None:
        monkeypatch.delenv("REES46_SHOPS_DIR")
    else:
        monkeypatch.setenv("REES46_SHOPS_DIR", value)

    assert shops_dir(Path("/project")) == Path(expected.format(cwd=Path.cwd()))
