"""Who watches the runs: alerts, freshness, and the page in Airflow's UI."""
