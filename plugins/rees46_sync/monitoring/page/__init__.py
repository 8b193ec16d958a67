"""
The page "REES46 order sync" in Airflow's UI, and the health of the shops for monitors outside.

``app`` has the routes, ``visitors`` says who may see which shop, ``charts`` draws, ``templates/`` and ``static/`` are
what a browser gets. The questions to the ledger are in ``rees46_sync.monitoring.page.queries``.
"""
