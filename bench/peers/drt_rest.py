"""
drt-core's REST API destination: the project in `drt_rest/`, run by `drt run`.

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


def main() -> int:
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
