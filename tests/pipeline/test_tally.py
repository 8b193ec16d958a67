"""The tally of a partition."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from rees46_sync.pipeline.tally import TALLY_PARTS, Tally


def test_a_new_tally_has_every_part_at_zero() -> None:
    assert Tally(7).counts == {"orders": 7, **dict.fromkeys(TALLY_PARTS, 0)}


def test_counts_of_several_threads_are_all_added_up() -> None:
    tally = Tally(3000)

    with ThreadPoolExecutor(8) as threads:
        for _ in range(1000):
            threads.submit(tally.add, sent=2, failed=1)

    assert tally.counts == {"orders": 3000, **dict.fromkeys(TALLY_PARTS, 0), "sent": 2000, "failed": 1000}
