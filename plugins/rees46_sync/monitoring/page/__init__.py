"""
The page "REES46 order sync" in Airflow's UI, and the health of the shops for monitors outside.

``app`` has the routes, ``access`` says who may see which shop, ``queries`` reads the ledger, and ``views`` renders
``templates/``. ``static/`` has the other files that a browser gets. ``data_docs`` serves the validation's Data Docs.
"""
