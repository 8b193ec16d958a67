"""
The request for a person's approval, if a limit is exceeded and the shop file says ``on_limit: ask``.

It is Markdown that Airflow's UI renders; it uses lists, because the UI's narrow panel cuts off the last column of a
table. The request holds the orders that it is about, so that a decision cannot apply to another extraction.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from rees46_sync.formatting import duration, escape_unprintable
from rees46_sync.monitoring.alert_rules import reopened_remedy
from rees46_sync.pipeline import preview
from rees46_sync.pipeline.closed_sum import count_reasons
from rees46_sync.pipeline.run import extracted_window
from rees46_sync.shop.shop import STATUS_NAMES, Shop
from rees46_sync.translations import translator

if TYPE_CHECKING:
    from rees46_sync.pipeline.limits import LimitCheck


WIDTH = 110
"""The characters of a line of examples."""


class ApprovalRequest(TypedDict):
    """
    What a person is asked to approve.

    :param extraction_id: the extraction that it is about.
    :param exceeded_text: the exceeded limits in one line, with the numbers; English, for the ledger and errors.
    :param batches: the descriptors of the partitions that an approval lets through.
    """

    extraction_id: str
    exceeded_text: str
    subject: str
    body: str
    batches: list[Any]


def build_approval_request(
    shop: Shop, check: LimitCheck, validated: Sequence[Mapping[str, Any]], built: Sequence[Mapping[str, Any]]
) -> ApprovalRequest:
    """
    Write the request, in the language of the shop file.

    :param check: the limits that the run exceeds.
    :param validated, built: the results of the partitions; their previews become examples.
    """
    _ = translator(shop.language).gettext
    extraction, window = check.extraction, extracted_window(check.extraction)
    by_status = sum((Counter(batches["by_status"]) for batches in built), Counter[str]())
    lines = [
        _("The run of **%(shop)s** over `%(window)s` read %(read)s rows and exceeds a limit.")
        % {"shop": shop.shop, "window": window, "read": f"{extraction['read']:,}"},
        "",
        *(
            _("- %(limit)s: **%(value)s**, allowed %(allowed)s")
            % {
                "limit": name,
                "value": _number(check.metrics[name]),
                "allowed": _number(getattr(check.limits, name)),
            }
            for name in check.exceeded
        ),
        "",
        _("To be sent:"),
        "",
        *(f"- {name}: {by_status[str(code)]:,}" for code, name in enumerate(STATUS_NAMES)),
        "",
    ]
    if reasons := count_reasons(validated).most_common(5):
        lines += [_("Rejected rows by reason:"), "", *(f"- {code}: {count:,}" for code, count in reasons), ""]
    if "reopened_orders" in check.exceeded:
        lines += [f"{reopened_remedy(shop)}. {_('An approval does not send them.')}", ""]
    if by_status.total():
        lines += ["~~~~text", _examples([batches["preview"] for batches in built if batches["preview"]]), "~~~~", ""]
    lines.append(
        _(
            "**Approve** sends these orders, which can start REES46's marketing messages. **Reject**, or no decision "
            "within %s, sends nothing: the run fails, and the next one asks about what it reads."
        )
        % duration(shop.approval_timeout, _)
    )
    if shop.approvers:
        lines += ["", _("These users may decide: %s.") % ", ".join(map(_code, shop.approvers))]
    return ApprovalRequest(
        extraction_id=extraction["extraction_id"],
        exceeded_text=check.exceeded_text(),
        subject=_("Shop %(shop)s: %(exceeded)s. Send all the same?")
        % {"shop": shop.shop, "exceeded": check.exceeded_text(_)},
        body="\n".join(lines),
        batches=[{**batches, "preview": None} for batches in built if batches["orders"]],
    )


def _examples(previews: Sequence[preview.Preview]) -> str:
    """Return the tables that a dry run shows, as lines none of which can end the block that they stand in."""
    from rich.console import Console

    out = io.StringIO()
    console = Console(file=out, width=WIDTH, highlight=False, markup=False, emoji=False)
    for table in preview.tables(previews):
        console.print(table)
    # What ends a block is indented by three spaces at most. Other ends of a line than these do not remain.
    lines = escape_unprintable(out.getvalue().strip("\n"), keep="\n").split("\n")
    return "\n".join(f"    {line}" for line in lines)


def _code(text: str) -> str:
    return f"`{text.replace('`', '')}`"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
