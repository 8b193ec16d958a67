"""The environment of the doctor: variables, .env, Airflow's metadata database."""

from __future__ import annotations

import pytest

from rees46_sync.doctor.__main__ import main
from tests.conftest import ShopUnderTest

from .conftest import command_line

pytestmark = pytest.mark.usefixtures("clean_environment")


def test_the_environment_overrides_the_connections_of_an_env_file(
    healthy: ShopUnderTest, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    env_file = healthy.folder / ".env"
    env_file.write_text(
        f"AIRFLOW_CONN_SHOP_WAREHOUSE='sqlite:///{healthy.warehouse}'\n"
        f"AIRFLOW_CONN_SHOP_LEDGER='sqlite:///{healthy.folder}/other.db'\n"
    )
    monkeypatch.delenv("AIRFLOW_CONN_SHOP_WAREHOUSE")
    assert main(["test", "--env-file", str(env_file)]) == 0
    shown = capfd.readouterr().out
    assert f"shop_warehouse (sqlite {healthy.warehouse})" in shown
    assert f"shop_ledger (sqlite {healthy.ledger_file})" in shown
    monkeypatch.delenv("AIRFLOW_CONN_SHOP_WAREHOUSE")


def test_connections_that_are_stored_in_airflow_are_found(
    healthy: ShopUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.models import Connection
    from airflow.utils.session import create_session

    monkeypatch.delenv("AIRFLOW_CONN_SHOP_WAREHOUSE")
    with create_session() as session:
        session.add(Connection(conn_id="shop_warehouse", conn_type="sqlite", host=str(healthy.warehouse)))
    try:
        assert main(command_line(healthy, "test")) == 0
    finally:
        with create_session() as session:
            session.query(Connection).filter_by(conn_id="shop_warehouse").delete()
