"""The keys of a shop file: a valid value means what it says, a wrong one is named with what to write."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from rees46_sync.exceptions import ShopFileError
from rees46_sync.shop.shop import Shop
from rees46_sync.shop.shop_file import load_shop
from rees46_sync.shop.statuses import CANCELLED, COMPLETED, CREATED
from tests.conftest import PROJECT
from tests.shop.conftest import GONE, load, problem_of, shop_text


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
        "limits": LIMITS,
        "on_limit": "fail",
        "approval_timeout": timedelta(hours=12),
        "approvers": None,
        "settle": timedelta(hours=1),
        "resend_every": None,
        "loaded_until": None,
        "allow_reopen": False,
        "feed_asset": None,
        "staging": None,
        "keep_days": None,
        "freshness": timedelta(hours=24),
        "notify": (),
        "alerts": {"rejected_share": 0.01, "reopened_share": 0.05, "volume_factor": 5},
        "language": "en",
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


LIMITS = {"rejected_share": 0.05, "changed_orders": 100_000, "reopened_orders": 100}

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
    pytest.param("limits", "{}", LIMITS, id="limits-of-the-defaults"),
    pytest.param("limits.rejected_share", "0", LIMITS | {"rejected_share": 0}, id="no-rejected-row"),
    pytest.param("limits.rejected_share", "1", LIMITS | {"rejected_share": 1}, id="every-row"),
    pytest.param("limits.changed_orders", "0", LIMITS | {"changed_orders": 0}, id="no-changed-order"),
    pytest.param("limits.reopened_orders", "0", LIMITS | {"reopened_orders": 0}, id="no-reopened-order"),
    pytest.param("on_limit", "ask", "ask", id="ask"),
    pytest.param("approval_timeout", "1s", timedelta(seconds=1), id="shortest-wait"),
    pytest.param("approval_timeout", "6d", timedelta(days=6), id="longest-wait"),
    pytest.param("approvers", "[jane, 3]", ("jane", "3"), id="approvers"),
    pytest.param("approvers", "null", None, id="everyone-may-approve"),
    pytest.param("language", "ru", "ru", id="russian"),
    pytest.param("settle", "0s", timedelta(0), id="no-settling"),
    pytest.param("settle", "7d", timedelta(days=7), id="longest-settling"),
    pytest.param("resend_every", "1h", timedelta(hours=1), id="most-frequent-resends"),
    pytest.param("resend_every", "30d", timedelta(days=30), id="least-frequent-resends"),
    pytest.param("resend_every", "null", None, id="no-resends"),
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


@pytest.mark.parametrize("name", ["created", "cancelled"])
def test_a_shop_may_have_no_open_or_no_cancelled_orders(folder: Path, name: str) -> None:
    assert load(folder, shop_text({f"statuses.{name}": "[]"})).model_dump()["statuses"][name] == ()


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
    "limits": "rejected_share, changed_orders and reopened_orders",
    "limits.rejected_share": "0 to 1",
    "limits.changed_orders": "0 to 1,000,000,000",
    "limits.reopened_orders": "0 to 1,000,000,000",
    "on_limit": "fail stops the run, ask waits for a person's approval",
    "approval_timeout": "from 1s to 6d",
    "approvers": "ids of the Airflow users who may approve, such as [jane, john], or null for everyone whose role may",
    "settle": "up to 7d",
    "resend_every": "from 1h to 30d: 7d; or null for never",
    "loaded_until": "a query that returns up to when the shop's loader has delivered, or null",
    "allow_reopen": "true or false",
    "feed_asset": "the URI of an Airflow asset",
    "staging": "an object storage URL",
    "keep_days": "60 or more, or null for ever",
    "freshness": "a number and s, m, h, d or w",
    "notify": "one of email, slack, webhook and apprise",
    "alerts": "rejected_share, reopened_share and volume_factor",
    "alerts.rejected_share": "0 to 1",
    "alerts.reopened_share": "0 to 1",
    "alerts.volume_factor": "a number above 1",
    "language": "the language of alerts and of requests for approval: en or ru",
}


NULLABLE = ("approvers", "feed_asset", "staging", "keep_days", "resend_every", "loaded_until")
REQUIRED = [key for key in REMEDIES if Shop.model_fields[key.partition(".")[0]].is_required()]


def test_each_key_has_a_remedy_here() -> None:
    assert {key.partition(".")[0] for key in REMEDIES} == set(Shop.model_fields)


@pytest.mark.parametrize("key", REQUIRED)
def test_a_missing_key_is_named_with_what_to_give(folder: Path, key: str) -> None:
    problem = problem_of(folder, shop_text({key: GONE}))

    assert f"{key} is missing; give " in problem
    assert REMEDIES[key] in problem


@pytest.mark.parametrize("key", [key for key in REMEDIES if key not in NULLABLE])
def test_a_key_without_a_value_is_named_with_what_to_give(folder: Path, key: str) -> None:
    problem = problem_of(folder, shop_text({key: "null"}))

    assert problem.startswith(f"{key} ")
    assert REMEDIES[key] in problem


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
    ("limits.reopened_orders", "-1", "negative"),
    ("limits.reopened_orders", "1.5", "half"),
    ("alerts.reopened_share", "5%", "percent"),
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
    ("approvers", "jane", "no-list"),
    ("approvers", "[]", "nobody"),
    ("language", "de", "unknown"),
    ("language", "Russian", "name"),
    ("settle", "8d", "longer-than-extractions-are-kept"),
    ("resend_every", "0s", "endless-resends"),
    ("resend_every", "59m", "resends-in-every-run"),
    ("resend_every", "31d", "longer-than-half-of-keep-days"),
    ("resend_every", "weekly", "no-duration"),
    ("settle", "604801s", "a-second-too-long"),
    ("settle", "-1s", "negative"),
    ("settle", "1", "no-unit"),
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
    problem = problem_of(folder, shop_text({key: value}))

    shown = "empty" if value == "[]" else value.strip("\"'[]").strip()
    assert problem.startswith(f"{key} is ")
    assert shown[:80] in problem
    assert REMEDIES[key] in problem
    assert "Also" not in problem


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
def test_a_status_that_is_no_text_is_the_only_problem_and_named_with_its_place(
    folder: Path, name: str, item: str
) -> None:
    problem = problem_of(folder, shop_text({f"statuses.{name}": f"[{item}]"}))

    assert problem.startswith(f"statuses.{name}.")
    assert REMEDIES[f"statuses.{name}"] in problem
    assert "Also" not in problem


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
def test_a_repeated_status_is_named(folder: Path, changes: dict[str, str | None]) -> None:
    problem = problem_of(folder, shop_text(changes))

    assert problem.startswith("statuses lists 'lost' twice; give ")
    assert "each once" in problem


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("SELECT 1 WHERE 1 < :window_end", "binds :window_end; bind nothing"),
        ("DELETE FROM loads", "begins with DELETE"),
        ("SELECT 1; SELECT 2", "holds 2 statements"),
    ],
    ids=["a-window", "no-select", "two-statements"],
)
def test_loaded_until_is_one_select_about_no_window(folder: Path, query: str, problem: str) -> None:
    (folder / "until.sql").write_text(query)
    with pytest.raises(ShopFileError, match=problem):
        load(folder, shop_text({"loaded_until": "until.sql"}))
    (folder / "until.sql").write_text("SELECT max(finished_at) FROM loads -- of all")
    assert load(folder, shop_text({"loaded_until": "until.sql"})).loaded_until == folder / "until.sql"
