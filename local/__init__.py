"""An Airflow on a laptop: the demo, ``make up`` and ``make cluster``. Not for production, and not in the package."""
