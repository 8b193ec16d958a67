"""
The doctor checks a shop before a run does: it reports what works, what does not, and what to do.

It only reads. It never posts to REES46 and writes nothing to the warehouse or the ledger. It writes one small file into
the staging folder, which it removes, and temporary files for the rows that it reads. See ``docs/doctor.md``.
"""
