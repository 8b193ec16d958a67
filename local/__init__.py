"""Airflow on a laptop: the demo, ``make doctor``, ``make up``, ``make cluster``. Not in the package."""
