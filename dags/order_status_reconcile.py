"""The DAG ``order_status_reconcile``: once a week, does REES46 have every order as the warehouse says?"""

from rees46_sync.airflow_project import create_reconcile_dag

create_reconcile_dag(__file__)
