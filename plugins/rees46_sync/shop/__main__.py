"""``python -m rees46_sync.shop --schema``: the JSON Schema of a shop file, for editors."""

from __future__ import annotations

import argparse
import sys

from rees46_sync.shop.schema import schema_text


def main() -> None:
    """Print the schema."""
    parser = argparse.ArgumentParser("python -m rees46_sync.shop", description="What editors need for a shop file.")
    parser.add_argument("--schema", action="store_true", required=True, help="print the JSON Schema of a shop file")
    parser.parse_args()
    sys.stdout.write(schema_text())


if __name__ == "__main__":
    main()
