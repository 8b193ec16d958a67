"""The rights of the warehouse's role to files of its server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from rees46_sync.airflow_adapters.connections import get_database_hook
from rees46_sync.doctor.file_rights import findings
from rees46_sync.doctor.findings import Finding, Level
from tests.conftest import ShopUnderTest
from tests.doctor.conftest import about, examine_shop
from tests.e2e.airflow_stack import postgres_connection, postgres_uri
from tests.mariadb import MariaDB


@pytest.fixture
def role(postgres_home: Path) -> Iterator[str]:
    """A role of PostgreSQL without rights."""
    engine = sa.create_engine(postgres_uri(postgres_home, "postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text("CREATE ROLE reader_of_files LOGIN"))
        yield "reader_of_files"
        connection.execute(sa.text("DROP ROLE reader_of_files"))
    engine.dispose()


def rights_of(shop: ShopUnderTest, connection: str) -> Finding:
    shop.connect("shop_warehouse", connection)
    [finding] = findings("warehouse.files", get_database_hook("shop_warehouse"))
    return finding


def test_a_superuser_of_postgresql_is_a_warning(shop: ShopUnderTest, postgres_home: Path) -> None:
    found = rights_of(shop, postgres_connection(postgres_home, "postgres"))
    assert found.level == Level.WARNING
    assert found.value.startswith("the warehouse's role is a superuser: a query could read and write files")
    assert "SELECT what the query reads, and nothing more" in found.remedy


@pytest.mark.parametrize("right", [None, "pg_read_server_files", "pg_write_server_files", "pg_execute_server_program"])
def test_a_role_of_postgresql_is_as_its_rights_are(
    shop: ShopUnderTest, postgres_home: Path, role: str, right: str | None
) -> None:
    if right:
        engine = sa.create_engine(postgres_uri(postgres_home, "postgres"))
        with engine.begin() as connection:
            connection.execute(sa.text(f"GRANT {right} TO {role}"))
        engine.dispose()

    found = rights_of(shop, postgres_connection(postgres_home, "postgres").replace("postgres@", f"{role}@", 1))

    assert found.level == (Level.WARNING if right else Level.OK)
    assert (f"has the role {right}:" in found.value) == bool(right)


@pytest.mark.databases
@pytest.mark.parametrize("may_use_files", [True, False])
def test_the_privilege_file_of_mysql_is_a_warning(shop: ShopUnderTest, mariadb: MariaDB, may_use_files: bool) -> None:
    database = mariadb.create_database()
    user = mariadb.create_user("secret", *[f"SELECT ON {database}.*", "FILE ON *.*"][: 1 + may_use_files])

    found = rights_of(shop, mariadb.connection(database, user, "secret"))

    assert found.level == (Level.WARNING if may_use_files else Level.OK)
    assert ("has the privilege FILE" in found.value) == may_use_files


def test_a_database_in_this_process_has_no_such_rights(healthy: ShopUnderTest) -> None:
    assert about(examine_shop(healthy.configure()), "warehouse.files") == []


def test_the_doctor_examines_them(healthy: ShopUnderTest, postgres_home: Path) -> None:
    healthy.connect("shop_warehouse", postgres_connection(postgres_home, "postgres"))
    [finding] = about(examine_shop(healthy.configure()), "warehouse.files")
    assert finding.level == Level.WARNING
