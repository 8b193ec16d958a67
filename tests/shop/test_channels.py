"""What a shop file may say about alerts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from rees46_sync.exceptions import ShopFileError
from rees46_sync.shop.channels import EVENTS
from tests.conftest import ShopUnderTest

MAIL = {"email": ["ops@example.com"]}


def test_without_the_keys_no_alert_is_sent_and_freshness_is_a_day(shop: ShopUnderTest) -> None:
    found = shop.configure()
    assert found.notify == ()
    assert found.freshness == timedelta(hours=24)
    assert found.alerts.model_dump() == {"rejected_share": 0.01, "reopened_share": 0.05, "volume_factor": 5}


@pytest.mark.parametrize(
    ("entry", "kind", "connection"),
    [
        pytest.param({"email": ["a@example.com", "b@example.com"]}, "email", "smtp_default", id="mail"),
        pytest.param({"slack": "#orders"}, "slack", "slack_api_default", id="slack"),
        pytest.param({"webhook": "/alerts", "conn_id": "mine"}, "webhook", "mine", id="webhook"),
        pytest.param({"apprise": "ops"}, "apprise", "apprise_default", id="apprise"),
    ],
)
def test_a_channel_receives_every_event_through_the_providers_connection_by_default(
    shop: ShopUnderTest, entry: dict[str, Any], kind: str, connection: str
) -> None:
    [channel] = shop.configure(notify=[entry]).notify
    assert (channel.kind, channel.connection, channel.events) == (kind, connection, EVENTS)


def test_the_key_of_a_channel_reveals_no_address_and_does_not_depend_on_its_events(shop: ShopUnderTest) -> None:
    one, other, fewer = (
        shop.configure(notify=[entry]).notify[0]
        for entry in (MAIL, {"email": ["boss@example.com"]}, MAIL | {"events": ["volume"]})
    )
    assert one.key == fewer.key != other.key
    assert "ops" not in one.key


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"notify": None}, "notify is null; give a list of places"),
        ({"notify": MAIL}, "notify is {'email': ['ops@example.com']}; give a list of places"),
        ({"notify": ["ops@example.com"]}, "notify.0 is 'ops@example.com'; give a list of places"),
        ({"notify": [{}]}, "notify.0 must have exactly one of email, slack, webhook and apprise; write each place"),
        ({"notify": [{"webhook": None}]}, "notify.0 must have exactly one of email, slack, webhook and apprise; write"),
        (
            {"notify": [{"slack": "#x", "webhook": "/y"}]},
            "notify.0 must have exactly one of email, slack, webhook and apprise",
        ),
        ({"notify": [{"email": "ops@example.com"}]}, "notify.0.email is 'ops@example.com'; give a list of e-mail"),
        ({"notify": [{"email": []}]}, "notify.0.email is empty; give a list of e-mail addresses"),
        ({"notify": [MAIL, {"email": ["ops"]}]}, "notify.1.email.0 is 'ops'; give a list of e-mail addresses"),
        ({"notify": [{"email": ["a@b.c\nBcc: d@e.f"]}]}, "notify.0.email.0 is 'a@b.c\\nBcc: d@e.f'; give a list"),
        ({"notify": [{"slack": ""}]}, "notify.0.slack is ''; give the name or id of a Slack channel"),
        ({"notify": [{"webhook": "hooks.example.com/x"}]}, "notify.0.webhook is 'hooks.example.com/x'; give the path"),
        (
            {"notify": [{"apprise": "tgram://token/1"}, {"apprise": "a, b"}]},
            "notify.1.apprise is 'a, b'; give the tag of",
        ),
        ({"notify": [MAIL | {"conn_id": ""}]}, "notify.0.conn_id is ''; give the id of the Airflow connection"),
        (
            {"notify": [MAIL | {"events": ["run_fail"]}]},
            "notify.0.events.0 is 'run_fail'; give a list of the events that are",
        ),
        (
            {"notify": [MAIL | {"events": []}]},
            "notify.0.events is empty; give a list of the events that are sent here, of run_fail",
        ),
        ({"notify": [MAIL | {"to": "x"}]}, "notify.0.to is not a known key; correct its spelling or remove it (known"),
        ({"notify": [MAIL, MAIL]}, "names the same place twice; list all of its events in one entry"),
        ({"freshness": "soon"}, "freshness is 'soon'; give the longest time without a success"),
        ({"freshness": "0h"}, "freshness is '0h'; give the longest time without a success"),
        ({"alerts": {"rejected_share": 2}}, "alerts.rejected_share is '2'; give the share of rejected rows"),
        ({"alerts": {"volume_factor": 1}}, "alerts.volume_factor is '1'; give how many times more or fewer"),
        ({"alerts": {"volume": 2}}, "alerts.volume is not a known key; correct its spelling or remove it (known keys"),
    ],
)
def test_a_wrong_value_is_named_with_the_remedy(shop: ShopUnderTest, keys: dict[str, Any], problem: str) -> None:
    with pytest.raises(ShopFileError) as caught:
        shop.configure(**keys)
    assert problem in str(caught.value)
