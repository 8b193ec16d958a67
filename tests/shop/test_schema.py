"""The JSON Schema of a shop file: an editor takes what the loader takes, and refuses most of what it refuses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ruamel.yaml import YAML, YAMLError

from rees46_sync.exceptions import ShopFileError
from rees46_sync.shop.schema import schema_text
from tests.conftest import PROJECT
from tests.shop import test_channels
from tests.shop.conftest import GONE, load, shop_text
from tests.shop.test_shop import REQUIRED, USABLE, WRONG_VALUES
from tests.shop.test_shop_file import NOT_YAML

SCHEMA_FILE = PROJECT / "include" / "shops" / "shop.schema.json"
SHOP_FILES = sorted((PROJECT / "include" / "shops").rglob("*.yaml"))
VALIDATOR = jsonschema.Draft7Validator(json.loads(schema_text()))

LEFT_TO_THE_LOADER = {
    "what a file holds": {"query": {"no-such-file", "empty", "blank", "folder"}},
    "what a cron expression is": {
        "schedule": {
            "no-cron", "empty", "minute-60", "four-fields", "step-0", "never-comes", "once", "reboot", "jenkins",
        },
    },
    "which URIs Airflow takes": {
        "feed_asset": {
            "name", "empty", "no-colon", "space", "scheme-that-airflow-reserves", "uri-that-airflow-refuses",
        },
    },
    "how long a duration is": {
        "lookback": {"longer-than-python-can-say", "before-the-first-year"},
        "approval_timeout": {"zero", "longer-than-staged-files-are-kept"},
        "settle": {"longer-than-extractions-are-kept", "a-second-too-long"},
        "resend_every": {"endless-resends", "resends-in-every-run", "longer-than-half-of-keep-days"},
    },
    "numbers that JSON does not have": {"limits.rejected_share": {"yaml-nan"}},
    "the end of a text, in Python's $ alone": {"shop": {"line-end"}},
}  # fmt: skip
"""What the schema accepts and the loader refuses: by reason and key."""

REPEATED = [
    pytest.param({"statuses.created": "[lost, lost]"}, id="status-in-a-list"),
    pytest.param({"statuses.created": "[lost]", "statuses.completed": "[lost]"}, id="status-in-two-lists"),
    pytest.param({"notify": "[{slack: a}, {slack: a}]"}, id="place"),
]
BROKEN_ENTRIES = [case[0] for case in test_channels.test_a_wrong_value_is_named_with_the_remedy.pytestmark[0].args[1]]
"""The wrong values of the tests of channels."""


def as_an_editor_reads(text: str) -> Any:
    """YAML 1.2, in which 007 is a number."""
    return YAML(typ="safe", pure=True).load(text)


def problems(text: str) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(as_an_editor_reads(text))]


def test_the_committed_schema_is_that_of_the_model() -> None:
    command = [sys.executable, "-m", "rees46_sync.shop", "--schema"]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout

    assert printed == schema_text()
    remedy = "python -m rees46_sync.shop --schema > include/shops/shop.schema.json"
    assert SCHEMA_FILE.read_text("utf-8") == printed, remedy


def test_the_schema_is_a_valid_one() -> None:
    jsonschema.Draft7Validator.check_schema(json.loads(schema_text()))


@pytest.mark.parametrize("file", SHOP_FILES, ids=lambda file: file.stem)
def test_a_shipped_shop_file_names_the_schema_and_fits_it(file: Path) -> None:
    first, _ = file.read_text("utf-8").split("\n", 1)
    named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)

    assert named
    assert (file.parent / named[1]).resolve() == SCHEMA_FILE
    assert problems(file.read_text("utf-8")) == []


@pytest.mark.parametrize(("key", "value", "_meaning"), USABLE)
def test_an_editor_does_not_complain_about_what_the_loader_takes(key: str, value: str, _meaning: object) -> None:
    assert problems(shop_text({key: value})) == []


@pytest.mark.parametrize("status", ["007", "no", "true", "1e3", "0.5", "1_000", "0x1F", ".inf", "'  paid'", "в пути"])
def test_a_status_may_be_anything_that_is_written_in_one_line(status: str) -> None:
    assert problems(shop_text({"statuses.created": f"[new, {status}]"})) == []


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"partition_rows": "'250000'"}, id="integer-in-quotes"),
        pytest.param({"partition_rows": "250_000"}, id="underscores"),
        pytest.param({"limits.rejected_share": "'.05'"}, id="number-in-quotes"),
        pytest.param({"allow_reopen": "'TRUE'"}, id="boolean-in-quotes"),
        pytest.param({"allow_reopen": "1"}, id="boolean-as-number"),
        pytest.param({"shop": "7", "warehouse_conn_id": "7"}, id="name-as-number"),
        pytest.param({"notify": "[{email: [a@b.c], slack: null, events: [volume]}, {slack: 7}]"}, id="channels"),
    ],
)
def test_both_take_the_same_value_in_another_style(folder: Path, changes: dict[str, str | None]) -> None:
    load(folder, shop_text(changes))

    assert problems(shop_text(changes)) == []


def test_an_editor_refuses_each_wrong_value_that_a_schema_can_say() -> None:
    accepted: dict[str, set[str]] = {}
    for key, value, what in WRONG_VALUES:
        if not problems(shop_text({key: value})):
            accepted.setdefault(key, set()).add(what)

    listed = {key: names for keys in LEFT_TO_THE_LOADER.values() for key, names in keys.items()}
    assert accepted == listed


@pytest.mark.parametrize("key", [*REQUIRED, "shedule", "statuses.canceled", "limits.rejected"])
def test_an_editor_names_what_is_missing_and_what_is_unknown(key: str) -> None:
    value = GONE if key in REQUIRED else "x"

    assert any(f"'{key.rpartition('.')[2]}'" in problem for problem in problems(shop_text({key: value})))


@pytest.mark.parametrize("keys", BROKEN_ENTRIES, ids=str)
def test_an_editor_refuses_a_broken_channel_and_threshold(keys: dict[str, Any]) -> None:
    of_the_loader = keys in ({"notify": [test_channels.MAIL] * 2}, {"freshness": "0h"})

    assert bool(problems(shop_text() + yaml.safe_dump(keys))) is not of_the_loader


@pytest.mark.parametrize("changes", REPEATED)
def test_what_is_listed_twice_is_left_to_the_loader(folder: Path, changes: dict[str, str | None]) -> None:
    """Also in JSON 7 and "7" differ, and 1 and 1.0 do not."""
    with pytest.raises(ShopFileError, match="twice"):
        load(folder, shop_text(changes))

    assert problems(shop_text(changes)) == []


@pytest.mark.parametrize("content", [pytest.param(case.values[0], id=case.id) for case in NOT_YAML])
def test_what_is_no_shop_file_at_all_does_not_fit(content: str | bytes) -> None:
    try:
        text = content.decode() if isinstance(content, bytes) else content
        assert problems(text) != []
    except (YAMLError, ValueError, KeyError, RecursionError):
        pass  # an editor says itself that this is no YAML
