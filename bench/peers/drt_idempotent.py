"""drt-core's REST API destination with ``state.idempotency``; see `drt_rest.py`."""

from __future__ import annotations

import sys

from drt_rest import main

if __name__ == "__main__":
    sys.exit(main(idempotent=True))
