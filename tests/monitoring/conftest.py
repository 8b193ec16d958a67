"""A shop whose alerts go to a real webhook, and its real ledger."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rees46_sync.ledger.database import Ledger
from rees46_sync.shop.shop import Shop
from tests.conftest import ShopUnderTest
from tests.receivers import Webhook, webhook_server
from tests.whole_run import make_metadata_database


@pytest.fixture
def no_variables() -> None:
    """Airflow's database outlives a test: one whose ledger could not be used leaves a variable about it."""
    from airflow.models.variable import Variable
    from airflow.utils.session import create_session

    make_metadata_database()
    with create_session() as session:
        session.query(Variable).delete()


@pytest.fixture
def webhook(shop: ShopUnderTest, no_variables: None) -> Iterator[Webhook]:
    with webhook_server() as webhook:
        shop.connect("http_default", webhook.connection)
        yield webhook


@pytest.fixture
def configured(shop: ShopUnderTest) -> Shop:
    return shop.configure(notify=[{"webhook": "/alerts"}], alerts={"rejected_share": 0.01}, limits={}, lookback="0h")


@pytest.fixture
def ledger(shop: ShopUnderTest) -> Iterator[Ledger]:
    ledger = Ledger.from_conn_id("shop_ledger")
    ledger.migrate()
    yield ledger
    ledger.engine.dispose()
