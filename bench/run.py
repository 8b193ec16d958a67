"""
The benchmark: `make bench`, or `make bench QUICK=1` for a first impression in under five minutes.

It prints a table and writes `bench/results.json`; `targets.py` has the meaning and the target of each key.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from datetime import UTC, datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.by_name import BY_NAME, ByName
from bench.contestants import PYTHON_OF_PEERS
from bench.data import running_postgres
from bench.ours import AIRFLOW_DATABASE, PROJECT, RunFailedError
from bench.receiver import running_receiver
from bench.stages import FULL, QUICK, STAGES
from bench.targets import targets_table

RESULTS = PROJECT / "bench" / "results.json"


def main() -> int:
    """Run the benchmark; return its exit code: 0 even if a target is missed, 1 if a contestant failed."""
    parser = argparse.ArgumentParser("python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, only for a first impression")
    parser.add_argument("--only", choices=(*STAGES, *BY_NAME), help="run one stage; write no results")
    options = parser.parse_args()
    for made_by_make in (PYTHON_OF_PEERS, AIRFLOW_DATABASE):
        if not made_by_make.exists():
            parser.error(f"{made_by_make.relative_to(PROJECT)} is missing; run `make bench`, which creates it.")
    console = Console(highlight=False)
    sizes = QUICK if options.quick else FULL
    began, load = datetime.now(UTC), os.getloadavg()[0]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with running_postgres() as databases, running_receiver() as receiver, Progress(*columns, console=console) as bars:
        bench = ByName(sizes, databases, receiver, bars)
        try:
            getattr(bench, options.only or "all")()
        except RunFailedError as error:
            console.print(str(error), markup=False, style="red")
            return 1
    results = {
        "quick": options.quick,
        "measured_at": began.isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "load_average_before": load,
        "sizes": asdict(sizes),
        **bench.results,
        "seconds": bench.seconds,
        "processor_seconds": bench.processor,
        "stolen": bench.stolen,
    }
    if options.only:
        console.print_json(json.dumps(results))
        return 0
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    console.print(targets_table(results, options.quick))
    stolen = max(bench.stolen, key=bench.stolen.__getitem__)
    console.print(f"The hypervisor took up to {bench.stolen[stolen]:.0%} of the processor time ({stolen}).")
    console.print(f"Everything: {RESULTS.relative_to(PROJECT)}")
    return 0
