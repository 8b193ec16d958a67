"""What this project adds to Airflow, and how it uses it: hooks, staging, pools, retries, metrics, lineage."""
