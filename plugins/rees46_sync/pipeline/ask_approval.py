"""The operator that waits for a person's approval, where a limit is reached and the shop file says so."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from structlog.contextvars import bind_contextvars

from rees46_sync.exceptions import EarlierRequestError, NotApprovedError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from rees46_sync.ledger.database import Ledger, RunRef
    from rees46_sync.pipeline.approval import Question

NEXT = "Nothing was sent. The next run reads these orders again, and asks anew where it reaches a limit"


class AskApprovalOperator(ApprovalOperator):
    """
    Ask a person whether the run may go on, where ``approve_changes`` left a question; hand its batches on where not.

    The request and the decision are in the ledger (``rees46_approvals``), the decision with who made it.

    :param shop: the shop's name in the ledger.
    :param ledger_conn_id: the connection of the ledger's database.
    :param batches: what ``approve_changes`` let through by itself.

    Returns (XCom) the partitions that may be sent.
    """

    template_fields: Collection[str] = ("batches",)

    def __init__(self, *, shop: str, ledger_conn_id: str, batches: list[Any], **kwargs: Any) -> None:
        super().__init__(subject="Send although a limit is reached?", **kwargs)
        self.shop = shop
        self.ledger_conn_id = ledger_conn_id
        self.batches = batches

    def execute(self, context: Context) -> list[Any]:
        """
        Ask, and leave the task waiting; or return at once where there is nothing to ask, or this reading was approved.

        :raises EarlierRequestError: this run asked before about another reading.
        :raises LedgerError: the ledger does not answer.
        """
        bind_contextvars(shop=self.shop)
        question = self._question(context)
        if question is None:
            self.log.info("No limit is reached: nobody is asked.")
            return self.batches
        ledger, run = self._ledger(), self._run(context, question["extraction_id"])
        asked = ledger.latest_approval(run.dag_id, run.run_id)
        if asked and asked.outcome == "approved" and asked.extraction_id == run.extraction_id:
            # Airflow may end a task that goes on with a quick answer, and try it again; a worker may be lost.
            self.log.info("%s", asked)
            return question["batches"]
        # Airflow 3.3 keeps the text of a task's first request when the task is cleared: somebody would read the
        # figures of the earlier reading, and approve this one. A first try has no such text, whatever its run id.
        if context["ti"].try_number > 1 and asked and asked.extraction_id != run.extraction_id:
            raise EarlierRequestError(
                f"Shop {self.shop}: {question['figures']}. This run asked for approval of an earlier reading, whose "
                f"figures Airflow would show once more. {NEXT}; a run by hand does so at once."
            )
        ledger.record_approval(run, "asked", question["figures"])
        self.subject, self.body = question["subject"], question["body"]
        self.log.warning("Asking: %s", self.subject)
        super().execute(context)  # it does not return: the task is left waiting
        raise AssertionError("a request for approval came back without waiting")

    def execute_complete(self, context: Context, event: dict[str, Any]) -> list[Any]:
        """
        Go on with the answer.

        :param event: Airflow's: ``chosen_options`` and ``responded_by_user``, or ``error_type``.
        :raises NotApprovedError: a person said no, or nobody answered in time.
        :raises EarlierRequestError: the run's question is not the one that was asked any more.
        :raises LedgerError: the ledger does not answer.
        """
        bind_contextvars(shop=self.shop)
        ledger, question, ti = self._ledger(), self._question(context), context["ti"]
        asked = ledger.latest_approval(ti.dag_id, ti.run_id)
        if question is None or asked is None or asked.extraction_id != question["extraction_id"]:
            raise EarlierRequestError(
                f"Shop {self.shop}: the answer is about an earlier reading than this run's latest. {NEXT}."
            )
        run = self._run(context, asked.extraction_id)
        if "error" in event:
            if event["error_type"] != "timeout":
                self.process_trigger_event_error(event)
            decision = ledger.record_approval(run, "expired", question["figures"])
        else:
            user = event["responded_by_user"] or {"name": "nobody", "id": "nobody"}
            who = user["name"] if user["name"] == user["id"] else f"{user['name']} ({user['id']})"
            outcome = "approved" if event["chosen_options"] == [self.APPROVE] else "rejected"
            decision = ledger.record_approval(run, outcome, question["figures"], who)
        if decision.outcome != "approved":
            raise NotApprovedError(f"Shop {self.shop}: {decision}. {NEXT}.")
        self.log.info("%s", decision)
        return question["batches"]

    def _question(self, context: Context) -> Question | None:
        found: Question | None = context["ti"].xcom_pull(task_ids="approve_changes", key="question")
        return found

    def _ledger(self) -> Ledger:
        from rees46_sync.ledger.database import Ledger

        ledger = Ledger.of_connection(self.ledger_conn_id)
        ledger.create()
        return ledger

    def _run(self, context: Context, extraction_id: str) -> RunRef:
        from rees46_sync.ledger.database import RunRef

        ti = context["ti"]
        return RunRef(self.shop, ti.dag_id, ti.run_id, extraction_id)
