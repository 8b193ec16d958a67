"""
The DAGs of every shop file: ``order_status_sync_<shop>`` (hourly) and ``order_status_history_<shop>`` (monthly).

A shop file that cannot be used is left out here and reported by ``broken_shop_files.py``, so that it does not stop the
DAGs of other shops.
"""

from rees46_sync.airflow_project import create_sync_dags

create_sync_dags(__file__)
