"""Task 2: validate the rows of a partition with Great Expectations."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.decorators.python import _PythonDecoratedOperator
from airflow.sdk import BaseOperatorLink

from rees46_sync.pipeline.causes import leaves_cause
from rees46_sync.pipeline.run import (
    Partition,
    RunContext,
    ValidatedPartition,
    extracted_window,
    get_extraction,
    stage_frame,
)

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

log = logging.getLogger(__name__)


@leaves_cause
def validate_statuses(shop_file: str, partition: Partition, **context: Any) -> ValidatedPartition:
    """
    Validate a partition, store its Data Docs, and put rejected rows into the quarantine.

    :param shop_file: path of the shop file.
    :param partition: a descriptor of :func:`rees46_sync.pipeline.extract_orders.extract_orders`.
    :return: the descriptor of its valid rows.
    :raises RestartRunError: the staged file is gone, or an earlier version of the project wrote it or the descriptor.
    :raises RowValidationError: Great Expectations could not run a check.
    :raises LedgerError: the ledger does not answer.
    :raises StagingError: the staging root cannot be read or written.
    """
    from rees46_sync.airflow_adapters import staging
    from rees46_sync.validation import data_docs
    from rees46_sync.validation.expectations import RowValidator
    from rees46_sync.warehouse.values import SCHEMA

    run, extraction = RunContext(shop_file, context, partition), get_extraction(partition)
    rows = staging.read(staging.open_path(partition["path"]), SCHEMA.names).to_pandas()
    result = RowValidator().validate(rows, run.shop.codes, extracted_window(extraction))
    newly_rejected = run.quarantine(result.rejected)
    for unmapped in result.unmapped:
        log.warning(
            "%s does not map status %r: %d rows, for example order %s. See the account for the line to add.",
            run.shop.file.name,
            unmapped.status,
            unmapped.count,
            unmapped.example_id,
        )
    path = stage_frame(result.valid, extraction, f"valid-{partition['index']:04}.parquet")
    docs = None if run.is_dry_run else data_docs.store(run.shop, run.ti.dag_id, run.ti.run_id, partition, result)
    log.info("Partition %d: %d valid, %d rejected.", partition["index"], len(result.valid), len(result.rejected))
    return ValidatedPartition(
        index=partition["index"],
        extraction=extraction,
        path=str(path),
        valid=len(result.valid),
        rejected=len(result.rejected),
        newly_rejected=newly_rejected,
        reasons=result.reasons,
        unmapped=[item.packed() for item in result.unmapped],
        data_docs=docs,
    )


class DataDocsLink(BaseOperatorLink):
    """The button on a task's page in Airflow's UI that opens its Data Docs."""

    name = "Data Docs"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the address of the Data Docs; empty, which shows no button, if the task stored none."""
        from airflow.sdk.execution_time.xcom import XCom

        validated = XCom.get_value(ti_key=ti_key, key="return_value")
        return (validated and validated["data_docs"]) or ""


class ValidateStatusesOperator(_PythonDecoratedOperator):
    """Airflow's operator for a Python function, with a button: Airflow takes buttons only from an operator's class."""

    operator_extra_links = (DataDocsLink(),)
