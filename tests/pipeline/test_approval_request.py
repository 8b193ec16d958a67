"""The text of a request for approval, and what an approval lets through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from rees46_sync.pipeline import approval_request
from rees46_sync.pipeline.approval_request import ApprovalRequest, build_approval_request
from rees46_sync.pipeline.limits import LimitCheck
from rees46_sync.shop.shop import Limits, Shop
from tests.catalogues import russian
from tests.conftest import ShopUnderTest
from tests.pipeline.results import BUILT, VALIDATED, Descriptor, built, extraction, validated


@pytest.fixture
def definition(shop: ShopUnderTest) -> Shop:
    return shop.configure(on_limit="ask", limits={"rejected_share": 0.05, "changed_orders": 60})


def request_for(
    shop: Shop, validated_parts: list[Descriptor], built_parts: list[Descriptor], limits: Limits | None = None
) -> ApprovalRequest:
    parts: tuple[Any, Any] = validated_parts, built_parts
    run: Any = extraction()
    return build_approval_request(shop, LimitCheck.from_run(run, *parts, limits or shop.limits), *parts)


def with_preview(batches: Descriptor, order_id: str) -> Descriptor:
    example = [order_id, "delivered", "completed", "nothing", "2026-03-01 12:00:00"]
    return batches | {"preview": {"counts": {"2026-03-01": batches["by_status"]}, "examples": [example]}}


def test_a_request_names_the_limit_of_the_run_if_it_has_one_of_its_own(definition: Shop) -> None:
    request = request_for(definition, VALIDATED, PREVIEWED, definition.limits.model_copy(update={"changed_orders": 69}))

    assert "- changed_orders: **70**, allowed 69" in request["body"].splitlines()


INLINE = {"text", "softbreak", "strong_open", "strong_close", "code_inline"}
PREVIEWED = [with_preview(batches, f"order-{batches['index']}") for batches in BUILT]


def test_a_request_names_the_exceeded_limits_with_their_numbers(definition: Shop) -> None:
    request = request_for(definition, [VALIDATED[0], VALIDATED[1] | {"newly_rejected": 1}], PREVIEWED)

    numbers = "70 orders would change (limit changed_orders: 60)"
    share = "7 of 100 rows are rejected, 6 of them for the first time, a share of 0.0600 (limit rejected_share: 0.05)"
    assert request["exceeded_text"] == f"{numbers}; {share}"
    assert request["subject"] == f"Shop test: {numbers}; {share}. Send all the same?"
    lines = request["body"].splitlines()
    for line in (
        "The run of **test** over `[2026-03-01 07:00:00, 2026-03-01 08:00:00) UTC` read 100 rows and exceeds a limit.",
        "- changed_orders: **70**, allowed 60",
        "- rejected_share: **0.0600**, allowed 0.0500",
        "- created: 0",
        "- completed: 48",
        "- cancelled: 22",
    ):
        assert line in lines


def test_a_request_about_reopened_orders_says_that_an_approval_does_not_send_them(definition: Shop) -> None:
    batches = [built(0, 0, reopened=101), built(1, 0, reopened=30, newly_reopened=0)]

    request = request_for(definition, [validated(0, 55, 0)], batches)

    numbers = "131 orders are held back as reopened, 101 of them for the first time (limit reopened_orders: 100)"
    assert request["exceeded_text"] == numbers
    assert "- reopened_orders: **101**, allowed 100" in request["body"]
    assert "An approval does not send them." in request["body"]
    assert "set allow_reopen: true" in request["body"]


def test_a_request_lists_the_five_most_frequent_reasons(definition: Shop) -> None:
    reasons = {f"reason_{count}": count * 1000 for count in range(1, 7)}

    body = request_for(definition, [validated(0, 55, 5, reasons=reasons), VALIDATED[1]], PREVIEWED)["body"]

    assert [line for line in body.splitlines() if "reason_" in line] == [
        f"- reason_{count}: {count},000" for count in (6, 5, 4, 3, 2)
    ]


HOSTILE = [
    "~~~~",
    "~~~~~~~~~~~~",
    "```",
    "![x](https://evil.example/x.png)",
    "~~~~ ![x](//evil.example/x)",
    "[x](https://evil.example)",
    "<img src=//evil.example>",
    "\n~~~~\n",
    "\r~~~~\r",
    "\u2028~~~~\u2029",
    "\t~~~~",
    "字~~~~",
    "| a |",
    "# a",
    "&#126;&#126;&#126;&#126;",
]
"""What ends a block of Markdown, or is a picture, a link or HTML outside of one."""


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ids=st.lists(st.lists(st.sampled_from(HOSTILE) | st.text(max_size=40), max_size=4).map("".join), max_size=3),
    width=st.integers(20, 140),
)
@example(ids=["~" * 40], width=34)
@example(ids=["o ~~~~ ![x](//a.example/x)"], width=70)
def test_no_order_id_at_any_width_becomes_anything_but_text_of_the_block_of_examples(
    definition: Shop, ids: list[str], width: int
) -> None:
    parts = [[with_preview(BUILT[0], one) for one in some] + [PREVIEWED[1]] for some in (ids, ["harmless"] * len(ids))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(approval_request, "WIDTH", width)
        bodies = [request_for(definition, VALIDATED, part)["body"] for part in parts]

    parsed, harmless = (MarkdownIt("gfm-like", {"html": True, "linkify": False}).parse(body) for body in bodies)
    assert [token.type for token in parsed] == [token.type for token in harmless]
    assert {child.type for token in parsed for child in token.children or ()} <= INLINE


def test_an_approval_lets_through_the_partitions_with_orders_and_without_their_previews(definition: Shop) -> None:
    request = request_for(definition, VALIDATED, [*PREVIEWED, with_preview(built(2, 0), "none")])

    assert request["extraction_id"] == "extraction-1"
    assert request["batches"] == [{**batches, "preview": None} for batches in BUILT]


def test_a_request_is_in_the_language_of_the_shop_file_and_the_ledgers_text_is_not(
    shop: ShopUnderTest, tmp_path: Path
) -> None:
    texts = {
        "Shop %(shop)s: %(exceeded)s. Send all the same?": "Магазин %(shop)s: %(exceeded)s. Отправить?",
        "%(text)s (limit %(name)s: %(limit)s)": "%(text)s (предел %(name)s: %(limit)s)",
        "%(changed)d orders would change": "изменилось бы заказов: %(changed)d",
        "To be sent:": "Отправится:",
    }
    definition = shop.configure(on_limit="ask", limits={"rejected_share": 1, "changed_orders": 60}, language="ru")

    with russian(tmp_path, texts):
        request = request_for(definition, VALIDATED, PREVIEWED)

    assert request["subject"] == "Магазин test: изменилось бы заказов: 70 (предел changed_orders: 60). Отправить?"
    assert request["exceeded_text"] == "70 orders would change (limit changed_orders: 60)"
    assert "Отправится:" in request["body"].splitlines()
