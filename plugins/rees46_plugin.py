"""The plugin, if Airflow has this folder but not the installed package, whose entry point brings it otherwise."""

from __future__ import annotations

from importlib.metadata import entry_points

PLUGIN = "rees46_sync.airflow_project.plugin:Rees46Plugin"

if not any(entry_point.value == PLUGIN for entry_point in entry_points(group="airflow.plugins")):
    from rees46_sync.airflow_project.plugin import Rees46Plugin  # noqa: F401 - Airflow takes the classes that it finds
