"""Adapters to Airflow: hooks and connections, staging, executors, pools, retries, metrics, lineage."""
