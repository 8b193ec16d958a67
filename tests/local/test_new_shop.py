"""`make new-shop`: questions or options in, a shop that the doctor knows out."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from dotenv import dotenv_values
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.new_shop import OWN, SYSTEMS, NewShop, add_variables, with_password
from rees46_sync.shop.shop_file import load_shop
from tests.conftest import PROJECT

SECRET = r"""7f3'b"1c\ e0d"""
TEXTS = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"]), max_size=20)


@pytest.fixture
def shops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of shop files, with a folder for queries beside it."""
    for name in ("sql", "shops"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("REES46_SHOPS_DIR", str(tmp_path / "shops"))
    return tmp_path / "shops"


@pytest.fixture
def warehouse(tmp_path: Path) -> str:
    """A warehouse with one order, as an Airflow connection."""
    file = tmp_path / "ware house.db"
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("CREATE TABLE orders (order_id TEXT, status TEXT, updated_at TEXT)")
        db.execute("INSERT INTO orders VALUES ('1', 'teleported', datetime('now', '-1 hour'))")
    return json.dumps({"conn_type": "sqlite", "host": str(file)})


def answers(system: str, warehouse: str = "sqlite:////srv/shop.db") -> NewShop:
    return NewShop("mine", system, warehouse, "store", SECRET, "sqlite:////srv/ledger.db")


def command(env_file: Path, **options: str) -> list[str]:
    given = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", value)]
    return [sys.executable, "-m", "local.new_shop", "--env-file", str(env_file), *given]


def new_shop(folder: Path, **options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder / ".env", **{"name": "mine", "system": OWN, "shop_id": "store", **options}),
        cwd=PROJECT,
        env={**os.environ, "NEW_SHOP_SECRET": SECRET, "HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_shop_of_a_system_has_the_examples_mapping_and_a_query_of_its_own(shops: Path, system: str) -> None:
    example = PROJECT / "include" / "shops" / "examples" / f"{system}.yaml"
    shop = answers(system)
    for file, content in shop.files.items():
        file.write_text(content)

    made = load_shop(shops / "mine.yaml")

    assert made.query == shops.parent / "sql" / "mine_orders.sql"
    assert made.query.read_bytes() == (example.parents[2] / "sql" / f"{system}_orders.sql").read_bytes()
    of_example = yaml.safe_load(example.read_text())
    assert yaml.safe_load((shops / "mine.yaml").read_text())["statuses"] == of_example["statuses"]
    conn_ids = (made.warehouse_conn_id, made.rees46_conn_id, made.ledger_conn_id)
    assert [f"AIRFLOW_CONN_{conn_id.upper()}" for conn_id in conn_ids] == list(shop.variables)
    assert "Copy to" not in (shops / "mine.yaml").read_text()


@pytest.mark.parametrize(
    ("warehouse", "later"),
    [
        pytest.param("sqlite:////srv/shop.db", "datetime('now', '+1 day')", id="sqlite"),
        pytest.param("mysql://reader@db/shop", "UTC_TIMESTAMP() + INTERVAL 1 DAY", id="mysql"),
        pytest.param('{"conn_type": "duckdb", "host": "/srv/x"}', "now() + INTERVAL '1 day'", id="duckdb"),
        pytest.param("postgres://reader@db/shop", "now() + INTERVAL '1 day'", id="postgres"),
    ],
)
def test_the_query_to_fill_in_is_in_the_warehouses_own_words(shops: Path, warehouse: str, later: str) -> None:
    for file, content in answers(OWN, warehouse).files.items():
        file.write_text(content)

    assert later in load_shop(shops / "mine.yaml").query.read_text()


def test_a_query_of_ones_own_stays_where_it_is(shops: Path, tmp_path: Path) -> None:
    query = tmp_path / "my query.sql"
    query.write_text(answers(OWN).files[tmp_path / "sql" / "mine_orders.sql"])

    [(file, content)] = answers(str(query)).files.items()
    file.write_text(content)

    assert load_shop(shops / "mine.yaml").query == query


def test_the_shop_file_names_the_schema_that_it_fits(shops: Path) -> None:
    for system in (*SYSTEMS, OWN):
        [named] = re.findall(r"^# yaml-language-server: \$schema=(.+)\n", answers(system).files[shops / "mine.yaml"])

        assert (shops / named).resolve() == PROJECT / "include" / "shops" / "shop.schema.json"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shop_id=TEXTS, secret=TEXTS)
def test_what_was_answered_is_what_airflow_reads(tmp_path: Path, shop_id: str, secret: str) -> None:
    env_file = tmp_path / ".env"
    env_file.unlink(missing_ok=True)
    variables = NewShop("mine", OWN, "sqlite:////srv/shop.db", shop_id, secret, r"sqlite:////srv/le'd\ger.db").variables

    add_variables(env_file, variables)

    assert dotenv_values(env_file, interpolate=False) == variables


@given(TEXTS)
def test_any_password_fits_into_a_uri(password: str) -> None:
    parts = urlsplit(with_password("mysql://reader@db.example.com:3306/shop?charset=utf8", password))

    assert (parts.username, unquote(parts.password or "")) == ("reader", password)
    assert (parts.hostname, parts.port, parts.path, parts.query) == ("db.example.com", 3306, "/shop", "charset=utf8")


def test_a_line_of_env_is_never_overwritten_and_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("# mine\nexport A=1\nB='2'")
    env_file.chmod(0o644)

    assert add_variables(env_file, {"A": "x", "B": "y", "C": "3"}) == ["A", "B"]

    assert env_file.read_text() == "# mine\nexport A=1\nB='2'\nC='3'\n"
    assert env_file.stat().st_mode & 0o777 == 0o600
    add_variables(tmp_path / "new.env", {"A": "1"})
    assert (tmp_path / "new.env").stat().st_mode & 0o777 == 0o600


def test_options_make_a_shop_without_a_question_and_the_doctor_examines_it(
    shops: Path, tmp_path: Path, warehouse: str
) -> None:
    done = new_shop(tmp_path, warehouse=warehouse)

    assert done.stderr == ""
    assert done.stdout.endswith("make try SHOP=mine\n")
    assert f"Written: {shops / 'mine.yaml'}\n" in done.stdout
    assert "Shop mine\n" in done.stdout
    assert "'teleported', 1 order" in done.stdout
    assert done.returncode == 1  # of the doctor: a status is not mapped
    assert not [part for part in SECRET.split() if part in done.stdout]
    assert json.loads(dotenv_values(tmp_path / ".env")["AIRFLOW_CONN_MINE_REES46"] or "")["password"] == SECRET


@pytest.mark.parametrize(
    ("warehouse", "said"),
    [
        pytest.param("mysql://reader@127.0.0.1:1/shop", "does not answer", id="nobody-there"),
        pytest.param("sqlite:////nowhere/shop.db", "there is no file", id="no-file"),
        pytest.param("oracle-of-delphi://reader@db/shop", "has no hook here", id="no-such-type"),
        pytest.param("mysql://reader@127.0.0.1:port/shop", "mine_warehouse", id="no-port"),
        pytest.param("mysql://[reader@db/shop", "mine_warehouse", id="half-an-address"),
        pytest.param("{}", "mine_warehouse", id="empty-json"),
    ],
)
def test_a_wrong_connection_is_said_by_the_doctor(shops: Path, tmp_path: Path, warehouse: str, said: str) -> None:
    done = new_shop(tmp_path, warehouse=warehouse)

    assert re.search(rf"error +warehouse\.connection .*{said}", done.stdout)
    assert "Traceback" not in done.stdout + done.stderr
    assert done.returncode == 1


def of_shop_file(shops: Path) -> Path:
    return shops / "mine.yaml"


def of_query(shops: Path) -> Path:
    return shops.parent / "sql" / "mine_orders.sql"


@pytest.mark.parametrize("present", [of_shop_file, of_query])
def test_a_file_that_is_there_is_not_overwritten(
    shops: Path, tmp_path: Path, warehouse: str, present: Callable[[Path], Path]
) -> None:
    present(shops).write_text("mine")

    done = new_shop(tmp_path, warehouse=warehouse)

    assert done.returncode == 2
    assert "is there already; give another name" in " ".join(done.stderr.split())
    assert [file.read_text() for file in tmp_path.rglob("mine*")] == ["mine"]
    assert not (tmp_path / ".env").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param({"name": "My Shop"}, "'My Shop' is no name; give up to 100 of a-z, 0-9 and _", id="name"),
        pytest.param({"system": "joomla"}, "'joomla' is no system, and no query", id="system"),
        pytest.param({"warehouse": "db.example.com"}, "no URI; give one such as mysql://", id="no-uri"),
        pytest.param({"warehouse": "{'a': 1}"}, "this is not JSON", id="no-json"),
    ],
)
def test_a_wrong_answer_is_named_with_the_remedy(
    shops: Path, tmp_path: Path, options: dict[str, str], said: str
) -> None:
    done = new_shop(tmp_path, **{"warehouse": "sqlite:////srv/shop.db", **options})

    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert not (tmp_path / ".env").exists()


class Terminal:
    """A person at a real pseudo terminal."""

    def __init__(self, command: list[str], **environment: str) -> None:
        self._here, there = pty.openpty()
        self.process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env={**os.environ, "TERM": "dumb", "COLUMNS": "60", **environment},
            preexec_fn=lambda: os.login_tty(there),
        )
        os.close(there)
        self.shown = ""
        self._answered = 0

    def answer(self, question: str, text: str) -> None:
        """Wait for a question, then type."""
        while question not in self.shown[self._answered :]:
            assert self._read(), self.shown
        self._answered = len(self.shown)
        time.sleep(0.3)  # what is typed before the echo is off is thrown away
        os.write(self._here, f"{text}\n".encode())

    def finish(self) -> int:
        """Read to the end; return the exit code."""
        while self._read():
            pass
        os.close(self._here)
        return self.process.wait(60)

    def _read(self) -> bool:
        """Read what is shown next; False if the process has ended."""
        assert select.select([self._here], [], [], 120)[0], self.shown
        try:
            self.shown += os.read(self._here, 4096).decode(errors="replace")
        except OSError:
            return False
        return True


def test_a_person_answers_five_questions_and_no_secret_is_shown(shops: Path, tmp_path: Path) -> None:
    (shops / "taken.yaml").write_text("")
    terminal = Terminal(command(tmp_path / ".env"), HOME=str(tmp_path))

    terminal.answer("1. Name", "My Shop")
    terminal.answer("give up to 100 of a-z", "taken")
    terminal.answer("give another name", "mine")
    terminal.answer("2. Shop system", "prestashop")
    terminal.answer("3. Warehouse", "mariadb://reader@127.0.0.1:1/shop")
    terminal.answer("Its password (not shown)", "p@ss/word")
    terminal.answer("4. REES46 shop id", "store")
    terminal.answer("5. REES46 secret key (not shown)", SECRET)

    assert terminal.finish() == 1
    assert "does not answer" in terminal.shown
    assert not [secret for secret in ("p@ss", "p%40ss", *SECRET.split()) if secret in terminal.shown]
    assert dotenv_values(tmp_path / ".env", interpolate=False) == {
        "AIRFLOW_CONN_MINE_WAREHOUSE": "mysql://reader:p%40ss%2Fword@127.0.0.1:1/shop",
        "AIRFLOW_CONN_MINE_REES46": json.dumps({"conn_type": "rees46", "login": "store", "password": SECRET}),
        "AIRFLOW_CONN_REES46_LEDGER": f"sqlite:///{tmp_path}/rees46-ledger.db",
    }
    assert load_shop(shops / "mine.yaml").query == tmp_path / "sql" / "mine_orders.sql"
