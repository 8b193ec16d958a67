"""Today's rows minus what REES46 has: which order is sent, which is not, and why."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rees46_sync.exceptions import RestartRunError
from rees46_sync.ledger.mappings import FormerMapping
from rees46_sync.pipeline.diff import (
    REOPENED,
    SEND,
    STALE,
    UNCHANGED,
    DiffContext,
    add_codes,
    compare,
    count_actions,
    select_confirmable,
    split_batches,
)
from rees46_sync.shop.shop import CANCELLED, COMPLETED, CREATED
from tests.conftest import ShopUnderTest

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WINDOW_END = NOON + timedelta(hours=12)
BEFORE, SINCE = False, True
"""Whether the extraction that sent a row had not read everything yet when this one started."""

A_MOMENT = timedelta(microseconds=1)
FAR_AWAY = (NOON - timedelta(days=900), NOON - timedelta(days=800))
"""The window of an extraction over long ago."""

Known = tuple[str, bool, int, datetime]
Order = tuple[str, int, datetime]


def orders_of(*orders: Order) -> pd.DataFrame:
    frame = pd.DataFrame(orders, columns=["order_id", "code", "updated_at"])
    return frame.astype({"order_id": "str", "code": "int64", "updated_at": "datetime64[us, UTC]"})


def known_of(*known: Known) -> pd.DataFrame:
    """Rows as the ledger's lookup returns them."""
    columns = ["order_id", "since", "known_status", "known_updated_at"]
    types = {"order_id": "str", "since": "bool", "known_status": "int64", "known_updated_at": "datetime64[us, UTC]"}
    frame = pd.DataFrame(known, columns=columns, dtype=object).astype(types)
    return frame.assign(
        known_id=1,
        sent_here=False,
        uncertain=False,
        may_be_final=frame["known_status"] != CREATED,
        newest_updated_at=frame["known_updated_at"],
        sent_since=frame["known_updated_at"].where(frame["since"]),
        sent_since_status=frame["known_status"].where(frame["since"], -2),
        confirmed_since=pd.Series(pd.NaT, index=frame.index, dtype="datetime64[us, UTC]"),
        read_later=pd.Series(None, index=frame.index, dtype=object),
    ).drop(columns="since")


def action_for(
    code: int,
    known: tuple[bool, int, timedelta] | None,
    *,
    confirmed: timedelta | None = None,
    read_later: tuple[timedelta, timedelta] | None = None,
    resend: bool = False,
    allow_reopen: bool = False,
    is_resend: bool = False,
) -> str:
    """
    Compare an order of noon with what REES46 has of it.

    :param known: whether another extraction sent it since this one started, its status, and how much later than noon
        its version is.
    :param confirmed: how much later than noon the version is in which such an extraction confirmed the order.
    :param read_later: the window of an extraction that read later and found the order, relative to noon.
    """
    rows = [("1", known[0], known[1], NOON + known[2])] if known else []
    context = DiffContext(WINDOW_END, resend=resend, allow_reopen=allow_reopen, is_resend=is_resend)
    in_ledger = known_of(*rows)
    if confirmed is not None:
        in_ledger["confirmed_since"] = pd.Timestamp(NOON + confirmed)
    if read_later is not None:
        window = (NOON + read_later[0], NOON + read_later[1])
        in_ledger["read_later"] = pd.Series([[FAR_AWAY, window]], dtype=object)
    return str(compare(orders_of(("1", code, NOON)), in_ledger, context).item())


EARLIER, SAME_TIME, LATER = timedelta(hours=-1), timedelta(0), timedelta(hours=1)
AT_WINDOW_END = WINDOW_END - NOON


@pytest.mark.parametrize("code", [CREATED, COMPLETED, CANCELLED])
def test_an_order_that_rees46_does_not_have_is_sent(code: int) -> None:
    assert action_for(code, None) == SEND


CHANGES = [
    pytest.param(CREATED, COMPLETED, id="created-to-completed"),
    pytest.param(CREATED, CANCELLED, id="created-to-cancelled"),
    pytest.param(COMPLETED, CANCELLED, id="completed-to-cancelled-a-refund"),
    pytest.param(CANCELLED, COMPLETED, id="cancelled-to-completed"),
]
NOT_NEWER = [
    pytest.param(BEFORE, EARLIER, id="older"),
    pytest.param(BEFORE, SAME_TIME, id="same-time"),
    pytest.param(BEFORE, LATER, id="newer-but-read-again-just-now"),
    pytest.param(BEFORE, AT_WINDOW_END - A_MOMENT, id="newest-inside-the-window"),
    pytest.param(SINCE, EARLIER, id="older-accepted-since"),
    pytest.param(SINCE, -A_MOMENT, id="a-moment-older-accepted-since"),
]
NEWER = [
    pytest.param(SINCE, SAME_TIME, id="as-new-accepted-since"),
    pytest.param(SINCE, LATER, id="newer-accepted-since"),
    pytest.param(BEFORE, AT_WINDOW_END, id="from-the-window-end"),
    pytest.param(BEFORE, AT_WINDOW_END + LATER, id="beyond-the-window"),
    pytest.param(SINCE, AT_WINDOW_END, id="beyond-the-window-accepted-since"),
]


@pytest.mark.parametrize("code", [CREATED, COMPLETED, CANCELLED])
@pytest.mark.parametrize(("row", "later"), NOT_NEWER)
def test_an_order_that_rees46_has_in_this_status_is_unchanged_unless_all_is_resent(
    code: int, row: bool, later: timedelta
) -> None:
    assert action_for(code, (row, code, later)) == UNCHANGED
    assert action_for(code, (row, code, later), allow_reopen=True) == UNCHANGED
    assert action_for(code, (row, code, later), resend=True) == SEND
    assert action_for(code, (row, code, later), is_resend=True) == SEND


@pytest.mark.parametrize("code", [CREATED, COMPLETED, CANCELLED])
@pytest.mark.parametrize(("row", "later"), [one for one in NEWER if one.id != "as-new-accepted-since"])
def test_an_order_that_rees46_has_in_this_status_in_a_newer_version_is_unchanged_even_if_all_is_resent(
    code: int, row: bool, later: timedelta
) -> None:
    assert action_for(code, (row, code, later)) == UNCHANGED
    assert action_for(code, (row, code, later), resend=True) == UNCHANGED
    assert action_for(code, (row, code, later), is_resend=True) == UNCHANGED


@pytest.mark.parametrize(("known", "code"), CHANGES)
@pytest.mark.parametrize(("row", "later"), NOT_NEWER)
def test_a_changed_order_is_sent_if_rees46_has_nothing_newer(
    known: int, code: int, row: bool, later: timedelta
) -> None:
    assert action_for(code, (row, known, later)) == SEND
    assert action_for(code, (row, known, later), resend=True) == SEND


@pytest.mark.parametrize(
    ("known", "code"),
    [
        *CHANGES,
        pytest.param(COMPLETED, CREATED, id="completed-to-created"),
        pytest.param(CANCELLED, CREATED, id="cancelled-to-created"),
    ],
)
@pytest.mark.parametrize(("row", "later"), NEWER)
def test_a_newer_status_at_rees46_is_never_overwritten(known: int, code: int, row: bool, later: timedelta) -> None:
    assert action_for(code, (row, known, later)) == STALE
    assert action_for(code, (row, known, later), resend=True, allow_reopen=True) == STALE


@pytest.mark.parametrize(
    ("known", "code", "confirmed", "action"),
    [
        pytest.param(COMPLETED, CANCELLED, LATER, STALE, id="confirmed-later"),
        pytest.param(COMPLETED, CANCELLED, A_MOMENT, STALE, id="confirmed-a-moment-later"),
        pytest.param(COMPLETED, CANCELLED, SAME_TIME, SEND, id="confirmed-at-the-same-time"),
        pytest.param(COMPLETED, CREATED, LATER, STALE, id="a-final-status-confirmed-later"),
        pytest.param(COMPLETED, CANCELLED, -A_MOMENT, SEND, id="confirmed-a-moment-earlier"),
        pytest.param(COMPLETED, CREATED, -A_MOMENT, REOPENED, id="a-final-status-confirmed-earlier"),
        pytest.param(CANCELLED, CANCELLED, LATER, UNCHANGED, id="the-same-status"),
    ],
)
def test_a_status_that_was_taken_back_after_it_was_read_is_not_sent(
    known: int, code: int, confirmed: timedelta, action: str
) -> None:
    assert action_for(code, (BEFORE, known, EARLIER), confirmed=confirmed) == action
    assert action_for(code, (BEFORE, known, EARLIER), confirmed=confirmed, resend=True) == action


@pytest.mark.parametrize(
    ("window", "code", "action"),
    [
        pytest.param((-A_MOMENT, A_MOMENT), CANCELLED, STALE, id="its-window-holds-the-row"),
        pytest.param((SAME_TIME, A_MOMENT), CANCELLED, STALE, id="its-window-starts-at-the-row"),
        pytest.param((A_MOMENT, LATER), CANCELLED, SEND, id="its-window-starts-after-the-row"),
        pytest.param((EARLIER, SAME_TIME), CANCELLED, SEND, id="its-window-ends-before-the-row"),
        pytest.param((-A_MOMENT, A_MOMENT), COMPLETED, UNCHANGED, id="the-same-status"),
    ],
)
def test_what_an_extraction_found_later_counts_even_if_the_row_went_back_to_an_older_version(
    window: tuple[timedelta, timedelta], code: int, action: str
) -> None:
    assert action_for(code, (BEFORE, COMPLETED, EARLIER), read_later=window) == action


def test_orders_that_need_nothing_can_be_confirmed_and_newer_versions_are_marked() -> None:
    orders = orders_of(
        *((order_id, COMPLETED, NOON) for order_id in ("newer", "same-time", "older", "changed", "new")),
        ("reopened", CREATED, NOON),
    )
    known = known_of(
        ("newer", BEFORE, COMPLETED, NOON - A_MOMENT),
        ("same-time", BEFORE, COMPLETED, NOON),
        ("older", BEFORE, COMPLETED, NOON + A_MOMENT),
        ("changed", BEFORE, CREATED, NOON - A_MOMENT),
        ("reopened", BEFORE, CANCELLED, NOON - A_MOMENT),
    )
    actions = compare(orders, known, DiffContext(WINDOW_END))

    confirmable = select_confirmable(orders, known, actions)

    assert dict(zip(confirmable["order_id"], confirmable["is_newer"], strict=True)) == {
        "newer": True,
        "same-time": False,
        "older": False,
        "reopened": True,
    }


@pytest.mark.parametrize("known", [COMPLETED, CANCELLED])
@pytest.mark.parametrize(("row", "later"), NOT_NEWER)
def test_a_final_status_becomes_created_only_if_the_shop_allows_it(known: int, row: bool, later: timedelta) -> None:
    assert action_for(CREATED, (row, known, later)) == REOPENED
    assert action_for(CREATED, (row, known, later), resend=True) == REOPENED
    assert action_for(CREATED, (row, known, later), allow_reopen=True) == SEND


@pytest.mark.parametrize(
    ("code", "known", "action"),
    [
        pytest.param(COMPLETED, (BEFORE, COMPLETED, SAME_TIME), SEND, id="the-same-status-is-sent-again"),
        pytest.param(COMPLETED, (BEFORE, COMPLETED, LATER), SEND, id="the-same-status-of-a-newer-version-too"),
        pytest.param(CREATED, (BEFORE, CREATED, EARLIER), SEND, id="created-is-sent-again"),
        pytest.param(CANCELLED, (BEFORE, COMPLETED, EARLIER), SEND, id="a-change-is-sent"),
        pytest.param(CANCELLED, (SINCE, COMPLETED, LATER), STALE, id="a-newer-status-is-not-overwritten"),
        pytest.param(CANCELLED, (SINCE, COMPLETED, SAME_TIME), STALE, id="another-status-as-new-is-not-overwritten"),
        pytest.param(COMPLETED, (SINCE, COMPLETED, SAME_TIME), SEND, id="the-same-row-of-another-run-is-not-newer"),
        pytest.param(CREATED, (BEFORE, COMPLETED, EARLIER), REOPENED, id="a-final-status-stays"),
    ],
)
def test_an_uncertain_order_is_never_unchanged(code: int, known: tuple[bool, int, timedelta], action: str) -> None:
    uncertain = known_of(("1", known[0], known[1], NOON + known[2])).assign(uncertain=True)

    actions = compare(orders_of(("1", code, NOON), ("2", code, NOON)), uncertain, DiffContext(WINDOW_END))

    assert actions.tolist() == [action, SEND]


def test_an_order_that_may_be_final_at_rees46_does_not_become_created() -> None:
    uncertain = known_of(("1", BEFORE, CREATED, NOON - A_MOMENT)).assign(uncertain=True, may_be_final=True)

    actions = [
        compare(orders_of(("1", CREATED, NOON)), uncertain, DiffContext(WINDOW_END, allow_reopen=allowed)).item()
        for allowed in (False, True)
    ]

    assert actions == [REOPENED, SEND]


def test_each_order_is_compared_with_its_own_row() -> None:
    orders = orders_of(*((order_id, COMPLETED, NOON) for order_id in ("a", "A", "007", "7", "new")))
    known = known_of(
        ("7", BEFORE, CANCELLED, NOON),
        ("007", SINCE, CREATED, NOON + LATER),
        ("A", BEFORE, COMPLETED, NOON),
        ("a", BEFORE, CREATED, NOON),
    )

    assert compare(orders, known, DiffContext(WINDOW_END)).tolist() == [
        SEND,
        UNCHANGED,
        STALE,
        SEND,
        SEND,
    ]


IDS = st.sampled_from([f"order-{number}" for number in range(12)])
CODES = st.sampled_from([CREATED, COMPLETED, CANCELLED])
MOMENTS = st.integers(-30, 30).map(lambda hours: NOON + timedelta(hours=hours))
ORDERS = st.dictionaries(IDS, st.tuples(CODES, MOMENTS))
KNOWN = st.dictionaries(IDS, st.tuples(st.booleans(), CODES, MOMENTS))


@settings(max_examples=60, database=None, deadline=None)
@given(ORDERS, KNOWN, st.booleans(), st.booleans(), st.randoms(use_true_random=False))
def test_every_row_gets_exactly_one_action_in_any_order(
    wanted: dict[str, tuple[int, datetime]],
    known: dict[str, tuple[bool, int, datetime]],
    resend: bool,
    allow_reopen: bool,
    rng: random.Random,
) -> None:
    context = DiffContext(WINDOW_END, resend=resend, allow_reopen=allow_reopen)
    in_ledger = known_of(*((order_id, *row) for order_id, row in known.items()))
    orders = orders_of(*((order_id, *row) for order_id, row in wanted.items()))
    orders.index = pd.Index(rng.sample(range(1000), len(orders)))
    shuffled = orders.sample(frac=1, random_state=rng.randrange(1000))

    actions = compare(orders, in_ledger, context)

    assert actions.index.equals(orders.index)
    assert set(actions) <= {SEND, UNCHANGED, STALE, REOPENED}
    assert sum(count_actions(actions).values()) == len(orders)
    assert compare(shuffled, in_ledger[::-1], context).to_dict() == actions.to_dict()


def test_each_action_has_a_count_even_if_nothing_was_read() -> None:
    actions = compare(orders_of(), known_of(), DiffContext(WINDOW_END))

    assert count_actions(actions) == {SEND: 0, UNCHANGED: 0, STALE: 0, REOPENED: 0}
    assert count_actions(pd.Series([SEND, STALE, SEND])) == {SEND: 2, UNCHANGED: 0, STALE: 1, REOPENED: 0}


def numbered(count: int) -> pd.DataFrame:
    return orders_of(*((f"order-{number}", number % 3, NOON) for number in range(count)))


@pytest.mark.parametrize(
    ("count", "size", "sizes"),
    [
        pytest.param(0, 1000, [], id="none"),
        pytest.param(1, 1000, [1], id="one"),
        pytest.param(999, 1000, [999], id="one-less-than-a-batch"),
        pytest.param(1000, 1000, [1000], id="a-whole-batch"),
        pytest.param(1001, 1000, [1000, 1], id="one-more-than-a-batch"),
        pytest.param(2000, 1000, [1000, 1000], id="two-whole-batches"),
        pytest.param(2345, 1000, [1000, 1000, 345], id="a-rest"),
        pytest.param(100, 23, [23, 23, 23, 23, 8], id="does-not-divide"),
        pytest.param(3, 1, [1, 1, 1], id="one-each"),
    ],
)
def test_batches_hold_every_order_once_and_are_full_but_the_last(count: int, size: int, sizes: list[int]) -> None:
    orders = numbered(count)

    batches = list(split_batches(orders, size))

    assert [len(batch) for batch in batches] == sizes
    ids = [order_id for batch in batches for order_id in batch["order_id"]]
    assert sorted(ids) == sorted(orders["order_id"])
    for batch in batches:
        pd.testing.assert_frame_equal(batch, orders.loc[batch.index])


def test_batches_are_split_alike_whatever_the_order_of_the_rows() -> None:
    orders = numbered(100)
    shuffled = orders.sample(frac=1, random_state=7).reset_index(drop=True)
    assert shuffled["order_id"].tolist() != orders["order_id"].tolist()

    once, again = ([batch.reset_index(drop=True) for batch in split_batches(frame, 23)] for frame in (orders, shuffled))

    for first, second in zip(once, again, strict=True):
        pd.testing.assert_frame_equal(first, second)


def test_statuses_become_the_codes_of_the_shop_file(shop: ShopUnderTest) -> None:
    definition = shop.configure(
        statuses={"created": ["new"], "completed": ["delivered", "Delivered"], "cancelled": ["007"]}
    )
    orders = pd.DataFrame({"status": ["delivered", "007", "new", "Delivered"]}, index=[7, 3, 5, 1])

    coded = add_codes(orders, definition)

    assert coded["code"].to_dict() == {7: COMPLETED, 3: CANCELLED, 5: CREATED, 1: COMPLETED}
    assert coded["code"].dtype == "int64"
    assert add_codes(orders[:0], definition).empty


def test_a_status_that_is_no_longer_mapped_stops_the_run_and_is_never_guessed(shop: ShopUnderTest) -> None:
    orders = pd.DataFrame({"status": ["new", "parked"]})
    mapped = {"created": ["new", "parked"], "completed": ["done"], "cancelled": []}
    assert add_codes(orders, shop.configure(statuses=mapped))["code"].tolist() == [CREATED, CREATED]

    message = r"test\.yaml: its statuses changed during this run; clear this run from extract_orders"
    with pytest.raises(RestartRunError, match=message):
        add_codes(orders, shop.configure(statuses=mapped | {"created": ["new"]}))


# A corrected mapping


@pytest.mark.parametrize(
    ("status", "known", "accepted", "uncertain", "action"),
    [
        pytest.param("packed", COMPLETED, -A_MOMENT, False, SEND, id="by-the-earlier-mapping"),
        pytest.param("packed", COMPLETED, timedelta(0), False, SEND, id="by-its-last-run"),
        pytest.param("packed", COMPLETED, A_MOMENT, False, REOPENED, id="after-the-correction"),
        pytest.param("packed", CANCELLED, -A_MOMENT, False, REOPENED, id="as-something-else"),
        pytest.param("packed", COMPLETED, -A_MOMENT, True, REOPENED, id="perhaps"),
        pytest.param("new", COMPLETED, -A_MOMENT, False, REOPENED, id="a-status-that-was-always-created"),
    ],
)
def test_only_what_the_earlier_mapping_made_final_becomes_created(
    shop: ShopUnderTest, status: str, known: int, accepted: timedelta, uncertain: bool, action: str
) -> None:
    configured = shop.configure(statuses={"created": ["new", "packed"], "completed": ["delivered"], "cancelled": []})
    former = FormerMapping({"new": CREATED, "packed": COMPLETED}, since=NOON, until=NOON, window_start=NOON)
    rows = orders_of(("1", CREATED, NOON)).drop(columns="code").assign(status=status)
    in_ledger = known_of(("1", BEFORE, known, NOON)).assign(
        accepted_at=pd.Timestamp(NOON + accepted), uncertain=uncertain
    )

    found = compare(add_codes(rows, configured, [former]), in_ledger, DiffContext(WINDOW_END))

    assert found.item() == action
