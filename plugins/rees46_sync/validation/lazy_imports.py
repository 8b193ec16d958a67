"""Imports of what a library wants to have at hand, and we never use."""

from __future__ import annotations

import sys
from importlib.util import LazyLoader, find_spec, module_from_spec


def put_off(package: str, name: str) -> None:
    """
    Have a package's module loaded when something of it is first used, instead of by ``from package import name``.

    A module that is loaded already, or is not there, stays as it is.
    """
    full = f"{package}.{name}"
    spec = None if full in sys.modules else find_spec(full)
    if spec is None or spec.loader is None:
        return
    spec.loader = LazyLoader(spec.loader)
    module = module_from_spec(spec)
    sys.modules[full] = module
    spec.loader.exec_module(module)
    # Where it is looked for first; among the loaded modules Python would look at it, and so have it loaded.
    setattr(sys.modules[package], name, module)
