"""The dry run of ``make dry-run`` and ``make remap``: it also knows the demo shop, as ``make doctor`` does."""

from __future__ import annotations

import sys

from local.doctor import demo_surroundings
from local.home import keep_private
from rees46_sync.doctor.dry_run import main

if __name__ == "__main__":
    keep_private()
    sys.exit(main(surroundings=demo_surroundings))
