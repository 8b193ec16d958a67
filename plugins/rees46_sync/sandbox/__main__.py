"""``python -m rees46_sync.sandbox``."""

from rees46_sync.sandbox.server import main

main()
