"""
The project's private Airflow (``make setup``): its folder, its settings with a key of its own, and its database.

The key encrypts the connections that are stored in it. ``make up`` uses the same one.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from local.home import keep_private, keys, make_private
from local.up import inherited
from rees46_sync.doctor.environment import HOME, PROJECT


def write_settings(home: Path, template: str) -> None:
    """
    Create the home of an Airflow, or close and keep it if there is one, and write its settings.

    :param template: the settings, with ``@NAMES@`` in place of this folder and the key.
    """
    make_private(home)
    values: Mapping[str, str] = {"@PROJECT@": str(PROJECT), "@FERNET_KEY@": keys(home)["fernet_key"]}
    for name, value in values.items():
        template = template.replace(name, value)
    settings = home / "airflow.cfg"
    settings.touch(mode=0o600)
    settings.write_text(template)


def main() -> int:
    """Set the private Airflow up; return the exit code."""
    write_settings(HOME, (PROJECT / "airflow.cfg.in").read_text())
    with (HOME / "migrate.log").open("w") as log:
        code = subprocess.run(
            [sys.executable, "-m", "airflow", "db", "migrate"],
            env=inherited() | {"AIRFLOW_HOME": str(HOME)},
            stdout=log,
            stderr=log,
            check=False,
        ).returncode
    if code:
        print(f"{(HOME / 'migrate.log').read_text()[-2000:]}\nAirflow's database in {HOME} cannot be prepared.")
    return code


if __name__ == "__main__":
    keep_private()
    sys.exit(main())
