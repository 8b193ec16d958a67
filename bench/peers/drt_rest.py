"""
drt-core's REST API destination: the project in `drt_rest/`, run by `drt run`.

`drt_idempotent.py` runs the same with ``state.idempotency``: drt keeps what was delivered in a table of the warehouse.

drt keeps a connection's profile in the user's home and its state in the project, so both are in a temporary folder.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from common import task

IDEMPOTENT = """
state:
  backend: warehouse
  connection_profile: warehouse
  idempotency: true
"""
KEPT_FOR_EACH_REQUEST = """batch_size: 1000
  idempotency_key: "{{ row.id }} {{ row.status }}"
"""
"""What was delivered is kept for each call of the destination, so a call is one request."""


def main(*, idempotent: bool = False) -> int:
    """Send all orders; return drt's exit code."""
    job = task(__doc__)
    uri = urlsplit(job.warehouse)
    warehouse = {
        "type": "postgres",
        "host": parse_qs(uri.query)["host"][0],
        "dbname": uri.path.lstrip("/"),
        "user": uri.username,
    }
    with tempfile.TemporaryDirectory(prefix="rees46-bench-drt-") as folder:
        home = Path(folder)
        project = shutil.copytree(Path(__file__).with_name("drt_rest"), home / "project")
        if idempotent:
            (project / "drt_project.yml").write_text((project / "drt_project.yml").read_text() + IDEMPOTENT)
            sync = project / "syncs" / "orders.yml"
            sync.write_text(sync.read_text().replace("batch_size: 100000", KEPT_FOR_EACH_REQUEST))
        (home / ".drt").mkdir()
        # JSON is YAML.
        (home / ".drt" / "profiles.yml").write_text(json.dumps({"warehouse": warehouse}))
        settings = {
            "HOME": folder,
            "REES46_URL": job.url,
            "REES46_SHOP_ID": job.shop_id,
            "REES46_SHOP_SECRET": job.shop_secret,
        }
        command = [str(Path(sys.executable).with_name("drt")), "run", "--output", "json"]
        done = subprocess.run(command, cwd=project, env=os.environ | settings, check=False)
        return done.returncode


if __name__ == "__main__":
    sys.exit(main())
