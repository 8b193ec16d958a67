"""Defer the imports of a library that this project rarely or never needs."""

from __future__ import annotations

import sys
from importlib.util import LazyLoader, find_spec, module_from_spec


def defer_import(package: str, name: str) -> None:
    """
    Load a package's module only when one of its attributes is first used, not at ``from package import name``.

    Nothing happens if the module is loaded already or is not installed.
    """
    full = f"{package}.{name}"
    spec = None if full in sys.modules else find_spec(full)
    if spec is None or spec.loader is None:
        return
    spec.loader = LazyLoader(spec.loader)
    module = module_from_spec(spec)
    sys.modules[full] = module
    spec.loader.exec_module(module)
    # ``from package import name`` looks here first. In sys.modules Python would inspect the module, and so load it.
    setattr(sys.modules[package], name, module)
