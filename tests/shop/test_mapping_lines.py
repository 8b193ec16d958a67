"""The printed lines, pasted into the shop file as they stand, map the statuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rees46_sync.shop.mapping_lines import MappingLines, mapping_lines
from rees46_sync.shop.shop import Shop
from rees46_sync.shop.statuses import STATUS_NAMES
from tests.shop.conftest import load, shop_text

STATUSES = {
    "brackets": """statuses:
  created: [new, "x: y"]  # open
  completed: [delivered]
  cancelled: []
""",
    "brackets-over-several-lines": """statuses:
    created: [
      new,  # open
      'x: y',
    ]
    completed: [delivered]

    cancelled: []
""",
    "block": """statuses:
  # open ones
  created:
    - new  # at first
    # rarely
    - "x: y"

  completed:
    - delivered
  cancelled:
    - gone
""",
    "block-as-deep-as-its-key": """statuses:
  created:
  - new
  - 'x: y'
  completed:
  - delivered  # paid, too
  cancelled:
  - gone
""",
    "block-and-brackets": """statuses:
  created: [new, "x: y"]
  completed:
      - delivered
  cancelled: []
""",
    "braces": """statuses: {created: [new, "x: y"], completed: [delivered], cancelled: []}  # all
""",
    "anchors": """statuses:
  created: &open [new, "x: y"]
  completed: &paid
    - delivered
  cancelled: []
""",
}
"""Ways to write the same lists."""

HARD = {
    "word": "parked",
    "two-words": "on hold",
    "cyrillic": "ждёт оплаты",
    "number": "007",
    "no": "no",
    "yes": "yes",
    "null": "null",
    "null-in-capitals": "NULL",
    "tilde": "~",
    "hyphen": "-",
    "hyphen-first": "- a",
    "colon": "state: sent",
    "hash": "#1",
    "comma": "sent, paid",
    "brackets": "[sent]",
    "merge-key": "<<",
    "apostrophe": "it's",
    "quotes": 'the "new" one',
    "backslash": "new\\old",
    "escape": "\\u200b",
    "emoji": "late 🎁",
    "zero-width-space": "new\u200b",
    "byte-order-mark": "\ufeffnew",
    "soft-hyphen": "ne\u00adw",
    "no-break-space": "on\u00a0hold",
    "bidi-mark": "new\u200e",
    "tag": "new\U000e0001",
    "nul": "new\x00",
    "line-break": "new\nold",
    "two-blanks": "on  hold",
    "250-characters": "s" * 250,
}


def shop_of(folder: Path, written: str) -> Shop:
    text = shop_text({"statuses": None})
    return load(folder, text.replace("query:", f"{written}query:"))


def paste(shop: Shop, found: MappingLines, lines: tuple[str, ...], name: str) -> Shop:
    """Do with some of the lines, as they stand, what the action says; return the shop of the new file."""
    text = shop.file.read_text("utf-8").splitlines()
    key = "statuses" if found.action.startswith("replace statuses") else name
    [start] = [number for number, line in enumerate(text) if line.strip().startswith(f"{key}:")]
    indent = len(text[start]) - len(text[start].lstrip())
    following = (
        number for number, line in enumerate(text[start + 1 :], start + 1) if re.match(rf" {{0,{indent}}}[a-z]", line)
    )
    end = next(following)
    while not text[end - 1].strip():
        end -= 1
    changed = [*text[: end if found.action.startswith("add") else start], *lines, *text[end:]]
    return load(shop.file.parent, "\n".join(changed))


def lines_for(found: list[MappingLines], name: str) -> tuple[MappingLines, tuple[str, ...]]:
    """Return the part that is about a key, and its lines for this key."""
    [part] = [one for one in found if re.search(rf"\b{name}\b", one.action)]
    if part.action.startswith("replace statuses"):
        return part, (part.lines[STATUS_NAMES.index(name)],)
    return part, tuple(line for line in part.lines if re.match(rf" *({name}:|-)", line))


@pytest.mark.parametrize("name", STATUS_NAMES)
@pytest.mark.parametrize("written", [pytest.param(text, id=key) for key, text in STATUSES.items()])
def test_the_lines_map_one_status_and_several_as_what_they_are_pasted_for(
    folder: Path, written: str, name: str
) -> None:
    for statuses in ([hard] for hard in HARD.values()), [list(HARD.values())]:
        for added in statuses:
            shop = shop_of(folder, written)

            changed = paste(shop, *lines_for(mapping_lines(shop, added), name), name)

            assert changed.codes == shop.codes | dict.fromkeys(added, STATUS_NAMES.index(name))


def test_in_a_block_each_status_can_be_pasted_where_it_belongs_and_comments_stay(folder: Path) -> None:
    shop = shop_of(folder, STATUSES["block"])
    [found] = mapping_lines(shop, ["parked", "lost"])
    assert found.action == (
        "add to the list created, completed or cancelled in shop.yaml, each line where its status belongs"
    )
    assert found.lines == ("    - parked", "    - lost")

    changed = paste(shop, found, found.lines[:1], "created")
    changed = paste(changed, found, found.lines[1:], "cancelled")

    assert changed.codes == shop.codes | {"parked": 0, "lost": 2}
    text = changed.file.read_text("utf-8")
    assert all(comment in text for comment in ("# open ones", "# at first", "# rarely"))


def test_in_brackets_each_line_has_all_statuses_so_that_none_excludes_another(folder: Path) -> None:
    [found] = mapping_lines(shop_of(folder, STATUSES["brackets"]), ["parked", "it's"])

    assert found.action == (
        "replace created, completed or cancelled in shop.yaml, and leave each status only where it belongs"
    )
    assert found.lines == (
        '  created: [new, "x: y", parked, "it\'s"]',
        '  completed: [delivered, parked, "it\'s"]',
        '  cancelled: [parked, "it\'s"]',
    )


@pytest.mark.parametrize("status", ["new\u200b", "\ufeff", "a\u00a0b", "x\x00", "\u202e", "\U000e0001"])
def test_the_line_shows_what_is_not_visible(folder: Path, status: str) -> None:
    [found] = mapping_lines(shop_of(folder, STATUSES["block"]), [status])

    assert all(line.isprintable() and "\\" in line for line in found.lines)


@pytest.mark.parametrize(
    ("statuses", "action"),
    [
        pytest.param(["s" * 251], "shorten the status in the query: at most 250", id="alone"),
        pytest.param(["parked", "s" * 251], "shorten 1 of the statuses in the query: at most 250", id="beside-another"),
    ],
)
def test_a_status_that_no_line_can_map_is_to_be_shortened(folder: Path, statuses: list[str], action: str) -> None:
    *others, found = mapping_lines(shop_of(folder, STATUSES["block"]), statuses)

    assert found.action.startswith(action)
    assert found.lines == ()
    assert [one.lines for one in others] == [("    - parked",)] * (len(statuses) - 1)


@pytest.mark.parametrize("content", [None, "[", "other: 1\n", "- a\n", "statuses: new\n"])
def test_a_file_that_has_changed_meanwhile_gets_lines_in_brackets(folder: Path, content: str | None) -> None:
    shop = shop_of(folder, STATUSES["block"])
    shop.file.unlink()
    if content is not None:
        shop.file.write_text(content)

    [found] = mapping_lines(shop, ["parked"])

    assert found.lines[1] == "  completed: [delivered, parked]"


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    statuses=st.lists(st.text(min_size=1, max_size=8).map(str.strip).filter(bool), min_size=1, max_size=4, unique=True),
    written=st.sampled_from(sorted(STATUSES.values())),
)
def test_any_statuses_are_mapped(folder: Path, statuses: list[str], written: str) -> None:
    shop = shop_of(folder, written)
    added = [status for status in statuses if status not in shop.codes]
    found = mapping_lines(shop, added)

    changed = paste(shop, *lines_for(found, "completed"), "completed") if added else shop

    assert changed.codes == shop.codes | dict.fromkeys(added, 1)
