"""Shop files and their folder: YAML in, shops or clear errors out."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest

from rees46_sync.exceptions import ShopFileError
from rees46_sync.shop.shop_file import load_shop, load_shops, shops_dir
from tests.shop.conftest import GONE, QUERY, load, problem_of, shop_text


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
def test_line_ends_and_comments_do_not_matter(folder: Path, content: bytes) -> None:
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


@pytest.mark.parametrize(
    ("key", "known"),
    [
        pytest.param("shedule", ["schedule", "lookback", "staging"], id="misspelled"),
        pytest.param("Query", ["query"], id="upper-case"),
        pytest.param("7", ["schedule", "lookback"], id="number"),
        pytest.param("statuses.canceled", ["created, completed, cancelled"], id="in-statuses"),
        pytest.param("limits.rejected", ["rejected_share, changed_orders, reopened_orders"], id="in-limits"),
    ],
)
def test_an_unknown_key_is_named_with_the_known_ones(folder: Path, key: str, known: list[str]) -> None:
    problem = problem_of(folder, shop_text({key: "x"}))

    assert problem.startswith(f"{key} is not a known key; correct its spelling or remove it")
    assert all(word in problem for word in known)


def test_all_problems_of_a_file_are_named_at_once(folder: Path) -> None:
    problem = problem_of(folder, shop_text({"shop": "My Shop", "query": GONE, "lookback": "-1h", "shedule": "x"}))

    assert [part.split()[0] for part in problem.split(". Also: ")] == ["shop", "query", "lookback", "shedule"]


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
    problem = problem_of(folder, content)

    assert [word for word in words if word not in problem] == []


@pytest.mark.parametrize("kind", ["folder", "dangling-link"])
def test_a_path_that_is_no_file_is_reported_as_unreadable(folder: Path, kind: str) -> None:
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
def test_an_error_is_about_the_file_and_not_about_python(folder: Path, key: str, value: str) -> None:
    problem = problem_of(folder, shop_text({key: value}))

    jargon = ["None", "tuple", "dictionary", "instance", "timedelta", "<class", "identifier", "parse"]
    assert [word for word in jargon if word in problem] == []


def test_a_broken_file_does_not_hide_the_others(folder: Path) -> None:
    for name in ("b", "d"):
        (folder / f"{name}.yaml").write_text(shop_text({"shop": name}))
    broken = {"a": "[", "c": shop_text({"shop": "C"}), "e": b"\xff", "f": "? [a]\n: b\n", "g": "lookback: 99999999999w"}
    for name, content in broken.items():
        (folder / f"{name}.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())

    shops, errors = load_shops(folder)

    assert [(shop.shop, shop.file) for shop in shops] == [("b", folder / "b.yaml"), ("d", folder / "d.yaml")]
    assert [str(error).split()[2] for error in errors] == [f"{name}.yaml:" for name in broken]


def test_a_query_that_cannot_be_parsed_does_not_hide_the_other_shops(folder: Path) -> None:
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
        "Shop file two.yaml: shop is 'test', as in one.yaml, which is in force: it comes first by name; give each shop "
        "its own name, or remove one of the two files."
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
def test_the_environment_names_the_folder_of_shop_files(
    monkeypatch: pytest.MonkeyPatch, value: str | None, expected: str
) -> None:
    if value is None:
        monkeypatch.delenv("REES46_SHOPS_DIR")
    else:
        monkeypatch.setenv("REES46_SHOPS_DIR", value)

    assert shops_dir(Path("/project")) == Path(expected.format(cwd=Path.cwd()))


def aliases(kind: str) -> str:
    """Lines of aliases of aliases, which stand for 10 to the power of 12 values."""
    lines = ["a: &a " + ("[x, x]" if kind == "lists" else "{x: y}")]
    for before, name in pairwise("abcdefghijklm"):
        many = ", ".join([f"*{before}"] * 10)
        inner = {
            "lists": f"[{many}]",
            "mappings": "{" + ", ".join(f"k{n}: *{before}" for n in range(10)) + "}",
            "merges": "{<<: [" + many + "]}",
        }[kind]
        lines.append(f"{name}: &{name} {inner}")
    return "\n".join(lines)


ALIASED = ["lists", "mappings", "merges"]
MANY = 90_000
ORDERS = "0 to 1,000,000,000"

BOMBS = [
    *(pytest.param(aliases(kind), "more than 5,000 values", id=f"aliases-of-{kind}") for kind in ALIASED),
    pytest.param("a: &a [*a]\n", "*a is inside itself", id="alias-in-itself"),
    pytest.param("shop: " + "x" * 1_000_000, "has more than 200,000 bytes; make it shorter", id="long-file"),
    pytest.param(shop_text({"statuses.created": f"[{'a,' * MANY}]"}), "more than 5,000 values", id="long-list"),
    pytest.param(shop_text({"statuses.created": f"[{'{},' * 4900}]"}), "4880 more keys or values", id="wrong-list"),
    pytest.param("".join(f"k{n}: x\n" for n in range(9000)), "more than 5,000 values", id="many-keys"),
    pytest.param("[" * MANY, "more than 20 levels", id="brackets"),
    pytest.param("{" * MANY, "more than 20 levels", id="braces"),
    pytest.param(f"!{'!' * MANY} x", "is not YAML", id="long-tag"),
    pytest.param(shop_text({"partition_rows": "9" * MANY}), "partition_rows is '999", id="long-number"),
    pytest.param(shop_text({"partition_rows": "!!int " + "9" * MANY}), "more than 100 characters", id="tagged-number"),
    pytest.param(shop_text({"partition_rows": "!!int " + "1:" * MANY + "1"}), "more than 100", id="sexagesimal"),
    pytest.param(shop_text({"limits": "{changed_orders: 1000000001}"}), ORDERS, id="too-many-changed"),
    pytest.param(shop_text({"limits": f"{{reopened_orders: {'9' * 4000}}}"}), ORDERS, id="too-many-reopened"),
    pytest.param(shop_text({"limits": "{rejected_share: nan}"}), "rejected_share is 'nan'", id="not-a-number"),
    pytest.param(shop_text({"keep_days": "1e9999999"}), "keep_days is '1e9999999'", id="power"),
    pytest.param(shop_text({"lookback": "9" * MANY + "d"}), "lookback is '999", id="long-duration"),
    pytest.param(shop_text({"schedule": f"'{'0-59,' * MANY}0 * * * *'"}), "has more than", id="cron"),
    pytest.param(shop_text({"schedule": f"'{'0-59,' * 9000}0 * * * *'"}), "schedule is '0-59", id="shorter-cron"),
]


@pytest.mark.parametrize(("content", "problem"), BOMBS)
def test_a_file_that_would_take_much_time_or_memory_is_refused_at_once(
    folder: Path, content: str, problem: str
) -> None:
    started = time.thread_time()
    found = problem_of(folder, content)
    assert time.thread_time() - started < 1
    assert problem in found
    assert len(found) < 5000


def test_an_alias_stands_for_what_it_names(folder: Path) -> None:
    text = shop_text({"statuses.created": "[&paid paid]", "statuses.cancelled": "&none []", "notify": "*none"})
    assert load(folder, text + "approvers: [*paid]\n").approvers == ("paid",)


@pytest.mark.parametrize("key", ["query", "loaded_until"])
def test_a_query_that_never_ends_is_no_file(folder: Path, key: str) -> None:
    assert "/dev/zero cannot be read" in problem_of(folder, shop_text({key: "/dev/zero"}))


def test_a_query_of_a_length_that_nobody_writes_is_refused(folder: Path) -> None:
    (folder / "long.sql").write_text(QUERY + " " * 200_000)
    assert "long.sql has more than 200,000 bytes" in problem_of(folder, shop_text({"query": "long.sql"}))
