"""
Validate each row of a partition with Great Expectations.

The suite is code; every expectation has a ``code`` that names what is wrong with a row that breaks it. If Great
Expectations cannot run a check, the task fails: no row is rejected for that, and no row is accepted.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from rees46_sync.exceptions import RowValidationError
from rees46_sync.formatting import printable
from rees46_sync.ledger.quarantine import RejectedRow
from rees46_sync.validation.lazy_imports import defer_import
from rees46_sync.window import Window

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuite, ExpectationSuiteValidationResult
    from great_expectations.expectations.expectation import Expectation

MAX_ID_CHARACTERS = 255

MAX_STATUS_CHARACTERS = 250
"""How much of an unmapped status is kept; a longer one cannot be mapped."""

REASONS = {
    "order_id_missing": "the row has no order id",
    "order_id_blank": "the order id is blank",
    "order_id_too_long": f"the order id has more than {MAX_ID_CHARACTERS} characters",
    "order_id_control_character": "the order id holds a control character",
    "order_id_inexact": "the order id is a float with a fraction or from 2^53 on, or no text: cast it in the query",
    "order_id_duplicated": "the order id occurs twice in a partition",
    "order_ambiguous": "the order has different statuses at its newest updated_at",
    "status_missing": "the row has no status",
    "status_unmapped": "the shop file does not map the status",
    "updated_at_missing": "the row has no updated_at",
    "updated_at_unreadable": "updated_at is no timestamp: cast it to one, or to ISO 8601 text, in the query",
    "updated_at_outside_window": "updated_at is outside the window of the query",
}
"""The codes of the row suite, each with an explanation for the person who corrects the rows."""

# Great Expectations returns only the positions of broken rows, no values: fast, and no value can reach a log.
_THIN = {
    "result_format": "COMPLETE",
    "return_unexpected_index_query": False,
    "exclude_unexpected_values": True,
    "partial_unexpected_count": 0,
}


@dataclass(frozen=True)
class UnmappedStatus:
    """
    A status of the warehouse that the shop file does not map.

    :param status: as the warehouse has it, cut after :data:`MAX_STATUS_CHARACTERS`; it may hold any character.
    :param example_id: the id of an order that has it, made printable; None if no such row has an id.
    """

    status: str
    count: int
    example_id: str | None

    def packed(self) -> tuple[str, int, str | None]:
        """Return the fields for an XCom. In its database no text may hold NUL, so the status is escaped as in JSON."""
        return json.dumps(self.status, ensure_ascii=False)[1:-1], self.count, self.example_id

    @classmethod
    def unpack(cls, packed: Sequence[Any]) -> UnmappedStatus:
        """Return what was packed, also by an earlier version of the project, which did not escape the status."""
        status, count, example_id = packed
        with suppress(ValueError):
            status = json.loads(f'"{status}"')
        return cls(status, count, example_id)


@dataclass(frozen=True)
class ValidationResult:
    """
    The rows of a partition after validation.

    :param valid: the rows that break nothing: columns order_id, status, updated_at.
    :param rejected: the others, each with all its reasons.
    :param reasons: how many rows break each code; a row can break several.
    :param unmapped: the statuses that the shop file does not map, the most frequent first.
    :param result: Great Expectations' own result; it holds positions of rows, and no values.
    """

    valid: pd.DataFrame
    rejected: list[RejectedRow]
    reasons: dict[str, int]
    unmapped: list[UnmappedStatus]
    result: ExpectationSuiteValidationResult


def import_great_expectations() -> ModuleType:
    """Return the module of Great Expectations; its first import takes seconds."""
    # Before the import: it would write some 200 useless lines into the log of each task.
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    # It takes a third of the import, and only expectations about distributions need it.
    defer_import("scipy", "stats")
    import great_expectations as gx

    return gx


class RowValidator:
    """Validates rows; creating one starts Great Expectations, so a task makes only one."""

    def __init__(self) -> None:
        gx = import_great_expectations()
        from great_expectations.data_context.types.base import (
            DataContextConfig,
            InMemoryStoreBackendDefaults,
            ProgressBarsConfig,
        )

        context = gx.get_context(
            project_config=DataContextConfig(
                store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
                progress_bars=ProgressBarsConfig(globally=False, metric_calculations=False),
            ),
            mode="ephemeral",
        )
        asset = context.data_sources.add_pandas("rees46").add_dataframe_asset("rows")
        self._rows = asset.add_batch_definition_whole_dataframe("all")

    def validate(self, rows: pd.DataFrame, statuses: Collection[str], window: Window) -> ValidationResult:
        """
        Validate staged rows.

        :param rows: the columns of :data:`rees46_sync.warehouse.values.SCHEMA`, with a default index.
        :param statuses: the statuses that the shop file maps.
        :param window: the window that ``updated_at`` must lie in.
        :raises RowValidationError: a check could not be run.
        """
        result = self._validate(rows, _row_suite(statuses, window))
        broken = _broken(rows, result)
        reasons: dict[int, list[str]] = {}
        for code in REASONS:  # in the suite's order, so that equal rows have equal reasons
            for position in broken.get(code, ()):
                reasons.setdefault(position, []).append(code)
        bad = rows.loc[sorted(reasons)]
        # Not with pandas, which raises an error for the years that Python does not have.
        times = pc.strftime(pa.array(bad["updated_at"]), "%Y-%m-%d %H:%M:%S%z").to_pylist()
        texts = [_text(text) or time for text, time in zip(bad["updated_at_text"], times, strict=True)]
        rejected = [
            RejectedRow(_text(order_id), _text(status), updated_at, ", ".join(reasons[position]), int(copy))
            for position, order_id, status, updated_at, copy in zip(
                bad.index, bad["order_id"], bad["status"], texts, bad["copy"], strict=True
            )
        ]
        valid = rows.drop(index=bad.index)[["order_id", "status", "updated_at"]]
        counts = {code: len(positions) for code, positions in broken.items()}
        return ValidationResult(valid, rejected, counts, _unmapped(rows, broken.get("status_unmapped", [])), result)

    def _validate(self, frame: pd.DataFrame, suite: ExpectationSuite) -> ExpectationSuiteValidationResult:
        result: ExpectationSuiteValidationResult = self._rows.get_batch({"dataframe": frame}).validate(
            suite, result_format=_THIN
        )
        if len(result.results) != len(suite.expectations):
            raise RowValidationError(
                f"Great Expectations ran {len(result.results)} of {len(suite.expectations)} expectations; nothing was "
                "sent",
                "if a retry does not help, report it",
            )
        return result


def _broken(frame: pd.DataFrame, result: ExpectationSuiteValidationResult) -> dict[str, list[int]]:
    """Return the positions of the rows that break each expectation, by code, without the codes that no row breaks."""
    broken = {}
    for check in result.results:
        config = check.expectation_config
        code: str = config.meta["code"] if config and config.meta else ""
        positions = check.result.get("unexpected_index_list")
        if check.success:
            continue
        if not positions or check.exception_info.get("raised_exception"):
            raise _check_failed(code, frame)
        broken[code] = positions
    return broken


def _check_failed(code: str, frame: pd.DataFrame) -> RowValidationError:
    columns = ", ".join(f"{name} {kind}" for name, kind in frame.dtypes.items())
    return RowValidationError(
        f"Great Expectations could not check {code} ({len(frame)} rows, columns {columns}); nothing was sent",
        "if a retry does not help, this is a defect of the sync: report it with these columns",
    )


def _row_suite(statuses: Collection[str], window: Window) -> ExpectationSuite:
    from great_expectations import expectations as expect

    return _suite(
        "rows",
        {
            "order_id_missing": expect.ExpectColumnValuesToNotBeNull(column="order_id"),
            "order_id_blank": expect.ExpectColumnValuesToMatchRegex(column="order_id", regex=r"\S"),
            "order_id_too_long": expect.ExpectColumnValueLengthsToBeBetween(
                column="order_id", max_value=MAX_ID_CHARACTERS
            ),
            "order_id_control_character": expect.ExpectColumnValuesToNotMatchRegex(
                column="order_id", regex=r"[\x00-\x1f\x7f-\x9f]"
            ),
            "order_id_inexact": expect.ExpectColumnValuesToBeInSet(column="order_id_exact", value_set=[True]),
            "order_id_duplicated": expect.ExpectCompoundColumnsToBeUnique(
                column_list=["order_id", "order_id_exact", "copy"], ignore_row_if="any_value_is_missing"
            ),
            "order_ambiguous": expect.ExpectColumnValuesToBeInSet(column="order_unambiguous", value_set=[True]),
            "status_missing": expect.ExpectColumnValuesToNotBeNull(column="status"),
            "status_unmapped": expect.ExpectColumnValuesToBeInSet(column="status", value_set=sorted(statuses)),
            "updated_at_missing": expect.ExpectColumnValuesToBeInSet(column="updated_at_given", value_set=[True]),
            "updated_at_unreadable": expect.ExpectColumnValuesToBeInSet(column="updated_at_readable", value_set=[True]),
            "updated_at_outside_window": expect.ExpectColumnValuesToBeBetween(
                column="updated_at", min_value=window.start, max_value=window.end, strict_max=True
            ),
        },
    )


def _suite(name: str, expectations: Mapping[str, Expectation]) -> ExpectationSuite:
    from great_expectations.core import ExpectationSuite

    for code, expectation in expectations.items():
        expectation.meta = {"code": code}
    return ExpectationSuite(name=name, expectations=list(expectations.values()))


def _unmapped(rows: pd.DataFrame, positions: list[int]) -> list[UnmappedStatus]:
    """List the unmapped statuses, the most frequent first, each with an example of an order id."""
    found = rows.loc[positions, ["status", "order_id"]]
    counts = Counter(found["status"])
    examples = found.dropna().drop_duplicates("status").set_index("status")["order_id"].to_dict()
    return [
        UnmappedStatus(_cut(status), count, printable(examples.get(status), 100))
        for status, count in counts.most_common()
    ]


def _cut(status: str) -> str:
    return status if len(status) <= MAX_STATUS_CHARACTERS else f"{status[:MAX_STATUS_CHARACTERS]}…"


def _text(value: Any) -> str | None:
    return None if pd.isna(value) else str(value)
