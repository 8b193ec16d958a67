"""
The page "REES46" in Airflow's UI, its facts as JSON, and the health of the shops for monitors outside.

``app`` puts the parts of ``routes/`` together, ``access`` says who may see which shop, ``queries`` and ``charts`` read
the ledger, ``facts`` say how a shop is, and ``rendering`` and ``views`` make pages of ``templates/``, in English or
Russian (``languages``). ``static/`` has the other files that a browser gets. ``data_docs`` serves the validation's Data
Docs.
"""
