"""The engine of a warehouse that is tested in an environment of its own (`make test-warehouses`)."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from tests.warehouses import ENGINE


@pytest.fixture(scope="session")
def engine() -> Iterator[Any]:
    """The running engine of the environment."""
    with import_module(f"tests.warehouse.engines.{ENGINE}.warehouse").running() as started:
        yield started
