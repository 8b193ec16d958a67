"""
An Airflow listener that writes why a run failed into the run's note, which Airflow shows in its lists of runs.

The cause is what ``account_for_rows`` has left. A note that a person wrote is not changed; if the run is cleared and
succeeds, the note of the listener goes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow.listeners import hookimpl

from rees46_sync.airflow_adapters.pools import shop_name

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from sqlalchemy.orm import Session

MARK = "REES46: "
"""What a note of this listener begins with."""

MAX_NOTE = 1000
"""The length of a note in Airflow."""


@hookimpl
def on_dag_run_failed(dag_run: DagRun) -> None:
    """Write the note; Airflow calls this in the scheduler, whose session stores it."""
    session = _session(dag_run)
    if session and _is_own(dag_run.note) and (text := _cause(session, dag_run)):
        dag_run.note = f"{MARK}{as_text(text)}"[:MAX_NOTE]


@hookimpl
def on_dag_run_success(dag_run: DagRun) -> None:
    """Remove the note of an earlier failure."""
    if _session(dag_run) and dag_run.note and _is_own(dag_run.note):
        dag_run.note = None


def as_text(text: str) -> str:
    """
    Return a text none of which becomes a link, a picture or HTML in Airflow's UI, which shows notes as Markdown.

    A cause may quote an answer, which may come from a proxy in place of REES46.
    """
    return re.sub(r"[\\\[<]", r"\\\g<0>", text)


def _session(dag_run: DagRun) -> Session | None:
    """Return the session of a run of this project; None for another run, and for one of ``dags test``, without one."""
    from sqlalchemy.orm import object_session

    return object_session(dag_run) if shop_name(dag_run.dag_id) else None


def _is_own(note: str | None) -> bool:
    return not note or note.startswith(MARK)


def _cause(session: Session, dag_run: DagRun) -> str:
    """Return what account_for_rows has left; empty if that task did not come so far."""
    import sqlalchemy as sa
    from airflow.models.xcom import XComModel

    # Not by get_many, which loses its conditions in Airflow 3.4 if it is to select other columns.
    query = sa.select(XComModel.value).filter_by(
        dag_id=dag_run.dag_id, run_id=dag_run.run_id, task_id="account_for_rows", key="cause"
    )
    row = session.execute(query).first()
    cause = XComModel.deserialize_value(row) if row else None
    return f"{cause['problem']}. To do: {cause['remedy']}." if cause else ""
