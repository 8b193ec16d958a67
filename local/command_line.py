"""``make airflow``: Airflow's own command line, in the Airflow that ``make up`` runs, else in the private one."""

from __future__ import annotations

import os
import sys

from local.home import keep_private
from local.up import inherited
from rees46_sync.doctor import environment

if __name__ == "__main__":
    keep_private()
    own = inherited()
    os.environ.clear()
    os.environ.update(own)
    environment.read_env_file(environment.PROJECT / ".env")
    os.execv(sys.executable, [sys.executable, "-m", "airflow", *sys.argv[1:]])  # noqa: S606 - our own command
