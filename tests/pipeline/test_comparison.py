"""Comparisons with the ledger, and what other runs do while they are made."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pandas as pd
import pytest

from rees46_sync.ledger.extractions import Extractions
from rees46_sync.ledger.lookup import look_up
from rees46_sync.ledger.tables import confirmations
from rees46_sync.pipeline import comparison as comparison_module
from rees46_sync.pipeline.comparison import compare, compare_and_confirm
from rees46_sync.pipeline.diff import SEND, UNCHANGED
from tests.conftest import accept
from tests.ledger.builders import select_rows
from tests.pipeline.deliveries import NOON, Partition, orders_of


def test_what_an_earlier_extraction_sent_just_before_it_ended_is_corrected(
    ledger_conn_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, earlier, later = (Partition(ledger_conn_id, f"extraction-{number}") for number in (2, 3, 4))
    completed, cancelled = orders_of(("1", 1)), orders_of(("1", 2), at=NOON - timedelta(minutes=1))
    accept(first.ledger, first.run, 0, completed)
    Extractions(first.ledger).close(first.run)
    ended: list[Partition] = []

    def look_up_before_the_earlier_one_sends_and_ends(*arguments: Any) -> pd.DataFrame:
        known = look_up(*arguments)
        if not ended:
            accept(earlier.ledger, earlier.run, 0, cancelled)
            Extractions(earlier.ledger).close(earlier.run)
            ended.append(earlier)
        return known

    monkeypatch.setattr(comparison_module, "look_up", look_up_before_the_earlier_one_sends_and_ends)

    found = compare_and_confirm(later.ledger, later.run, completed, later.context())

    assert found.actions.tolist() == [SEND]
    assert found.confirmed == 1


def test_a_comparison_alone_writes_nothing(ledger_conn_id: str) -> None:
    earlier, later = (Partition(ledger_conn_id, f"extraction-{number}") for number in (2, 3))
    accept(earlier.ledger, earlier.run, 0, orders_of(("1", 1)))
    newer = orders_of(("1", 1), at=NOON + timedelta(minutes=1))

    found = compare(later.ledger, later.run, newer, later.context())

    assert (found.actions.tolist(), found.confirmed) == ([UNCHANGED], 0)
    assert select_rows(later.ledger, confirmations) == []
