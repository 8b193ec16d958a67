"""The safeguards of the code, each of which can be left out to see what it is for."""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pytest

from rees46_sync.ledger import lookup
from rees46_sync.ledger.confirmations import Confirmations
from rees46_sync.ledger.extractions import Extractions
from rees46_sync.ledger.requests import Requests
from rees46_sync.pipeline import comparison, delivery, diff
from rees46_sync.pipeline.delivery import Delivery
from rees46_sync.rees46.hook import Rees46Hook


@dataclass(frozen=True)
class Change:
    """
    A change of the source of a function.

    :param owners: the classes and modules that have the function.
    :param text: a part of its source; it stands there at least once.
    """

    owners: tuple[Any, ...]
    function: str
    text: str
    becomes: str


def _one(owner: Any, function: str, text: str, becomes: str) -> Change:
    return Change((owner,), function, text, becomes)


_NO_LEASE = _one(Delivery, "_was_sent", "lease != self._lease", "False")
_NO_TOKEN = _one(Delivery, "_was_sent", " and change_token == batch.change_token", "")
_NO_FENCE = _one(Requests, "record_result", "is_in_flight or", "True or")
_BOTH = (comparison, delivery)
_NEWER = "newer = after_window | newer_since | _was_read_later(both)"

SAFEGUARDS: dict[str, tuple[Change, ...]] = {
    "lease": (
        _NO_LEASE,
        _one(
            Requests, "record_requests", '{"of_shop": run.shop, "held": lease}).rowcount', '{"of_shop": "", "held": 0})'
        ),
    ),
    "lease_before_request": (_NO_LEASE,),
    "token_before_request": (_NO_TOKEN,),
    "fence": (_NO_FENCE,),
    "mark_uncertain": (
        _one(Requests, "take_lease", 'connection.execute(_CLOSE_REQUEST, {"number": number}).rowcount', "False"),
    ),
    "record_before_request": (
        _one(
            Requests,
            "record_requests",
            "return [int(number) for one in added for number in one.inserted_primary_key or []]\n",
            "numbers = [int(number) for one in added for number in one.inserted_primary_key or []]\n"
            "            for number in numbers:\n"
            "                connection.execute(_CLOSE_REQUEST, {'number': number})\n"
            "            return numbers\n",
        ),
        _NO_FENCE,
    ),
    "unknown_is_uncertain": (_one(Requests, "record_result", " or result.may_have_arrived", ""),),
    "settle": (_one(lookup, "_with_requested", " + settle", ""),),
    "two_times": (_one(Requests, "record_result", '"accepted_at": now', '"accepted_at": result.sent_at'),),
    "check_before_request": (_NO_LEASE, _NO_TOKEN),
    "check_before_further_try": (_one(Rees46Hook, "send", "if not may_post()", "if not posted and not may_post()"),),
    "compare_again_before_sending": (
        _one(Delivery, "_recheck", "diff.comparison_token(change_token, self.context) == token", "token"),
    ),
    "compare_again_after_confirming": (
        Change(_BOTH, "compare_and_confirm", "requests.change_token(run) == found.token", "True"),
    ),
    "open_when_compared": (
        _one(
            Confirmations,
            "confirm",
            "return 0\n    with self.ledger",
            "return 0\n"
            "    from rees46_sync.ledger.extractions import Extractions\n"
            "    others = Extractions(self.ledger).others(run)\n"
            "    with self.ledger",
        ),
    ),
    "retry_compares": (_one(Delivery, "_recheck_ahead", "token = None", "pass"),),
    "versions_of_others": (_one(diff, "compare", _NEWER, _NEWER.replace(" | newer_since", "")),),
    "same_row_is_not_newer": (
        _one(diff, "compare", "(is_other & (", "(("),
        _one(diff, "compare", 'both["confirmed_since"] > ', 'both["confirmed_since"] >= '),
    ),
    "order_of_extractions": (
        _one(Extractions, "others", " for row in others if row not in earlier", " for row in others"),
    ),
    "uncertain_versions": (_one(lookup, "_with_requested", "_with_sent_since(known, since) if len(since) else ", ""),),
    "later_confirmations": (
        _one(lookup, "_look_up", "read_later |= _confirmed_later(connection, shop, ids, others)", "pass"),
    ),
    "later_requests": (_one(lookup, "_look_up", "read_later |= set(zip(", "read_later = set() and set(zip("),),
    "lasting_confirmations": (
        _one(Confirmations, "confirm", 'orders["is_newer"] | ', ""),
        _one(Confirmations, "confirm", 'orders[orders["is_newer"]]', "orders[:0]"),
    ),
    "reopened_confirms": (_one(diff, "select_confirmable", "(UNCHANGED, REOPENED)", "(UNCHANGED,)"),),
    "uncertain_final": (
        _one(
            lookup, "_with_requested", 'known["may_be_final"] | known["order_id"].isin(finals)', 'known["may_be_final"]'
        ),
    ),
}
"""By the switches of the model, :class:`tests.protocol.model.Protocol`."""


@contextmanager
def left_out(safeguard: str) -> Iterator[None]:
    """Leave a safeguard out of the code."""
    with pytest.MonkeyPatch.context() as patch:
        for (owners, function), changes in groupby(SAFEGUARDS[safeguard], key=lambda one: (one.owners, one.function)):
            without = _changed(owners[0], function, list(changes))
            for owner in owners:
                patch.setattr(owner, function, without)
        yield


def _changed(owner: Any, name: str, changes: Sequence[Change]) -> Any:
    """Compile a function anew, from a changed source."""
    function = inspect.unwrap(vars(owner)[name])
    source = textwrap.dedent(inspect.getsource(function))
    for change in changes:
        if change.text not in source:
            raise ValueError(f"{name} has no {change.text!r} any more")
        source = source.replace(change.text, change.becomes)
    found = dict(vars(sys.modules[function.__module__]))
    exec(compile(source, inspect.getfile(function), "exec"), found)
    return found[name]
