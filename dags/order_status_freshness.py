"""The DAG ``order_status_freshness``: every quarter of an hour, do each shop's changes reach REES46 in time?"""

from rees46_sync.airflow_project import create_freshness_dag

create_freshness_dag(__file__)
