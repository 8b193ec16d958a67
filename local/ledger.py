"""``make rename-shop`` and ``make retire-shop``: the ledger's commands, with the variables of ``.env``."""

from __future__ import annotations

import sys

from local.home import keep_private
from rees46_sync.doctor import environment
from rees46_sync.ledger.__main__ import main

if __name__ == "__main__":
    keep_private()
    environment.configure_environment(environment.PROJECT / ".env")
    sys.exit(main())
