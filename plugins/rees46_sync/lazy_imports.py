"""Imports of what a library wants to have at hand, and we never use."""

from __future__ import annotations

import sys
from importlib.util import LazyLoader, find_spec, module_from_spec


def put_off(name: str) -> None:
    """
    Have a module loaded when something of it is first used, instead of when it is imported.

    One that is loaded already, or is not there, stays as it is; the package around it must be installed.
    """
    spec = None if name in sys.modules else find_spec(name)
    if spec is None or spec.loader is None:
        return
    spec.loader = LazyLoader(spec.loader)
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
