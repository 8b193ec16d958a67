"""The command line: exit codes, texts, JSON."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable

import pytest

from rees46_sync.doctor.__main__ import main
from tests.conftest import SECRET, ShopUnderTest

from .conftest import AN_HOUR_AGO, command_line, without_index

pytestmark = pytest.mark.usefixtures("metadata_database", "clean_environment")


def with_unmapped_status(shop: ShopUnderTest, _: object) -> None:
    shop.add_rows([("5", "on hold", AN_HOUR_AGO)])


@pytest.mark.parametrize(
    ("broken", "more", "code"),
    [
        pytest.param(None, [], 0, id="healthy"),
        pytest.param(None, ["--strict"], 0, id="healthy-strict"),
        pytest.param(without_index, [], 0, id="warning"),
        pytest.param(without_index, ["--strict"], 1, id="warning-strict"),
        pytest.param(with_unmapped_status, [], 1, id="error"),
    ],
)
def test_the_exit_code_is_for_ci(
    healthy: ShopUnderTest,
    monkeypatch: pytest.MonkeyPatch,
    broken: Callable[[ShopUnderTest, pytest.MonkeyPatch], object] | None,
    more: list[str],
    code: int,
) -> None:
    if broken:
        broken(healthy, monkeypatch)
    assert main(command_line(healthy, "test", *more)) == code


def test_the_column_that_tells_stores_apart_is_asked_for_by_name(
    healthy: ShopUnderTest, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(command_line(healthy, "test", "--entity", "status", "--json")) == 0
    findings = json.loads(capfd.readouterr().out)["shops"][0]["findings"]
    [shared] = [finding for finding in findings if finding["check"] == "query.shared_ids"]
    assert (shared["level"], shared["data"]) == ("warning", {"orders": 1, "examples": ["1"]})


@pytest.mark.parametrize("wrong", [["--days", "0"], ["--days", "many"], ["--nonsense"], ["one", "two"]])
def test_a_wrong_command_line_ends_with_2(
    shop: ShopUnderTest, capsys: pytest.CaptureFixture[str], wrong: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(command_line(shop, *wrong))
    assert ended.value.code == 2
    assert capsys.readouterr().out == ""


def test_an_unknown_shop_ends_with_2_and_the_names_of_the_known_ones(
    shop: ShopUnderTest, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(command_line(shop, "nobody")) == 2
    shown = capfd.readouterr()
    assert shown.out == ""
    assert f"There is no shop 'nobody' in {shop.shops}; its shops: test." in shown.err


@pytest.mark.parametrize("name", ["worse", "by_its_key"])
def test_every_mistake_of_a_shop_file_is_a_finding(
    shop: ShopUnderTest, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    (shop.shops / "worse.yaml").write_text("shop: by_its_key # a comment\nquery: nowhere.sql\nlookback: soon\n")
    assert main(command_line(shop, name, "--json")) == 1
    [found] = json.loads(capfd.readouterr().out)["shops"]
    problems = [(finding["check"], finding["level"]) for finding in found["findings"]]
    assert problems == [("shop.file", "error")] * len(problems)
    assert len(problems) > 4
    lookback = next(finding for finding in found["findings"] if finding["value"].startswith("lookback"))
    assert "24h" in lookback["remedy"]


def test_without_a_name_every_shop_is_examined_even_beside_a_broken_file(
    healthy: ShopUnderTest, capfd: pytest.CaptureFixture[str]
) -> None:
    (healthy.shops / "worse.yaml").write_text("{")
    assert main(command_line(healthy, "--json")) == 1
    document = json.loads(capfd.readouterr().out)
    assert [(found["shop"], found["level"]) for found in document["shops"]] == [("worse", "error"), ("test", "ok")]


def test_plain_text_has_no_escape_codes_no_boxes_and_cuts_no_line(
    healthy: ShopUnderTest, capfd: pytest.CaptureFixture[str]
) -> None:
    long = "z" * 200
    healthy.add_rows([("5", "\x1b[31mred\x1b[0m", AN_HOUR_AGO), ("6", long, AN_HOUR_AGO)])
    main(command_line(healthy, "test"))
    shown = capfd.readouterr().out
    assert "\x1b" not in shown
    assert not any("\u2500" <= character <= "\u259f" for character in shown)
    assert long in shown
    assert "1 shop: 2 errors, 1 warning." in shown
    assert SECRET not in shown


def command(shop: ShopUnderTest, *more: str) -> list[str]:
    return [sys.executable, "-m", "rees46_sync.doctor", "test", *command_line(shop, *more)]


@pytest.mark.e2e
def test_stdout_is_one_json_document_and_nothing_else(healthy: ShopUnderTest) -> None:
    done = subprocess.run(command(healthy, "--json"), capture_output=True, text=True, check=False, cwd=healthy.folder)
    document = json.loads(done.stdout)
    assert (done.returncode, document["level"]) == (0, "ok")
    [found] = document["shops"]
    assert list(found) == ["shop", "file", "level", "findings"]
    assert all(list(one) == ["check", "level", "value", "remedy", "data"] for one in found["findings"])
    assert SECRET not in done.stdout + done.stderr
    assert done.stderr == ""


@pytest.mark.e2e
def test_a_terminal_gets_coloured_tables(healthy: ShopUnderTest) -> None:
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "100"}
    done = subprocess.run(command(healthy), stdout=theirs, stderr=subprocess.PIPE, check=False, env=environment)
    os.close(theirs)
    shown = b""
    while chunk := _read(ours):
        shown += chunk
    os.close(ours)
    assert done.returncode == 0
    assert b"\x1b[32mok" in shown
    assert "─" in shown.decode()
    assert SECRET.encode() not in shown


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # the other end is closed
        return b""
