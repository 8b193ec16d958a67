"""
The doctor: says of a shop what works, what does not, and what to do, before a run has to find out.

It reads. It never posts to REES46 and writes nothing to warehouse or ledger; what it writes is one small file in the
staging folder, which it removes, and temporary files for the rows that it reads. See ``docs/doctor.md``.
"""
