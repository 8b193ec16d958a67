"""Between tasks 4 and 5, for shops with ``on_limit: ask``: wait for a person's approval if the run exceeds a limit."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from structlog.contextvars import bind_contextvars

from rees46_sync.exceptions import NotApprovedError, OutdatedApprovalError, RestartRunError
from rees46_sync.pipeline.causes import leaving_cause

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.execution_time.hitl import HITLUser

    from rees46_sync.ledger.approvals import Approvals
    from rees46_sync.ledger.runs import RunRef
    from rees46_sync.pipeline.approval_request import ApprovalRequest

NEXT_RUN = "leave these orders to the next run, which reads them again, and asks anew if it exceeds a limit"


class AskApprovalOperator(ApprovalOperator):
    """
    Ask a person whether the run may go on, if ``approve_changes`` left a request; otherwise pass its batches on.

    The request and the decision, with who made it, are in the ledger (``rees46_approvals``).

    :param shop: the shop's name in the ledger.
    :param ledger_conn_id: the connection of the ledger's database.
    :param batches: what ``approve_changes`` let through by itself.
    :param approvers: the ids of the Airflow users who may decide; None: everyone whose role may.

    Returns (XCom) the partitions that may be sent.
    """

    template_fields: Collection[str] = ("batches",)

    def __init__(
        self,
        *,
        shop: str,
        ledger_conn_id: str,
        batches: list[Any],
        approvers: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        # Airflow compares ids alone; a shop file has no names to show beside them.
        users: list[HITLUser] = [{"id": user, "name": user} for user in approvers or ()]
        super().__init__(subject="Send although a limit is exceeded?", assigned_users=users or None, **kwargs)
        self.shop = shop
        self.ledger_conn_id = ledger_conn_id
        self.batches = batches

    def execute(self, context: Context) -> list[Any]:
        """
        Ask, and defer the task; or return at once if there is nothing to ask, or this extraction was approved before.

        :raises OutdatedApprovalError: this run asked before, about another extraction.
        :raises RestartRunError: an earlier version of the project wrote the request.
        :raises LedgerError: the ledger does not answer.
        """
        with leaving_cause(context["ti"]):
            return self._ask(context)

    def _ask(self, context: Context) -> list[Any]:
        bind_contextvars(shop=self.shop)
        request = self._request(context)
        if request is None:
            self.log.info("No limit is exceeded: no approval is needed.")
            return self.batches
        approvals, run = self._approvals(), self._ref(context, request["extraction_id"])
        latest = approvals.latest(run.dag_id, run.run_id)
        if latest and latest.outcome == "approved" and latest.extraction_id == run.extraction_id:
            # Airflow may end a task that resumes after a quick decision, and retry it; a worker may be lost.
            self.log.info("%s", latest)
            return request["batches"]
        # Airflow 3.3 keeps the text of a task's first request when the task is cleared: a person would read the numbers
        # of the earlier extraction, and approve this one. A first attempt has no such text, whatever its run id.
        if context["ti"].try_number > 1 and latest and latest.extraction_id != run.extraction_id:
            raise OutdatedApprovalError(
                f"Shop {self.shop}: {request['exceeded_text']}. This run asked for approval of an earlier extraction, "
                "whose numbers Airflow would show once more",
                f"{NEXT_RUN}; a run by hand does so at once",
            )
        approvals.record(run, "asked", request["exceeded_text"])
        self.subject, self.body = request["subject"], request["body"]
        self.log.warning("Asking: %s", self.subject)
        super().execute(context)  # it does not return: the task is deferred
        raise AssertionError("a request for approval returned without waiting")

    def execute_complete(self, context: Context, event: dict[str, Any]) -> list[Any]:
        """
        Continue with the decision.

        :param event: Airflow's: ``chosen_options`` and ``responded_by_user``, or ``error_type``.
        :raises NotApprovedError: a person rejected it, or there was no decision in time.
        :raises OutdatedApprovalError: the run's request is not the one that was decided.
        :raises RestartRunError: an earlier version of the project wrote the request.
        :raises LedgerError: the ledger does not answer.
        """
        with leaving_cause(context["ti"]):
            return self._continue(context, event)

    def _continue(self, context: Context, event: dict[str, Any]) -> list[Any]:
        bind_contextvars(shop=self.shop)
        request, approvals, ti = self._request(context), self._approvals(), context["ti"]
        latest = approvals.latest(ti.dag_id, ti.run_id)
        if request is None or latest is None or latest.extraction_id != request["extraction_id"]:
            raise OutdatedApprovalError(
                f"Shop {self.shop}: the decision is about an earlier extraction than this run's latest", NEXT_RUN
            )
        run = self._ref(context, latest.extraction_id)
        if "error" in event:
            if event["error_type"] != "timeout":
                self.process_trigger_event_error(event)
            decision = approvals.record(run, "expired", request["exceeded_text"])
        else:
            user = event["responded_by_user"] or {"name": "an unnamed user", "id": "an unnamed user"}
            who = user["name"] if user["name"] == user["id"] else f"{user['name']} ({user['id']})"
            outcome = "approved" if event["chosen_options"] == [self.APPROVE] else "rejected"
            decision = approvals.record(run, outcome, request["exceeded_text"], who)
        if decision.outcome != "approved":
            raise NotApprovedError(f"Shop {self.shop}: {decision}, so nothing was sent", NEXT_RUN)
        self.log.info("%s", decision)
        return request["batches"]

    def _request(self, context: Context) -> ApprovalRequest | None:
        pull = context["ti"].xcom_pull
        request: ApprovalRequest | None = pull(task_ids="approve_changes", key="approval_request")
        if request is None and pull(task_ids="approve_changes", key="question"):
            raise RestartRunError("The request for approval was written by an earlier version of this project")
        return request

    def _approvals(self) -> Approvals:
        from rees46_sync.ledger.approvals import Approvals
        from rees46_sync.ledger.database import Ledger

        return Approvals(Ledger.open(self.ledger_conn_id))

    def _ref(self, context: Context, extraction_id: str) -> RunRef:
        from rees46_sync.ledger.runs import RunRef

        ti = context["ti"]
        return RunRef(self.shop, ti.dag_id, ti.run_id, extraction_id)
