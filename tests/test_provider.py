"""What Airflow's own code reads from the installed package: the provider, its connection form, and the plugin."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from importlib import import_module, metadata
from pathlib import Path

import airflow
import jsonschema
import pytest
from airflow import plugins_manager
from airflow.api_fastapi.core_api.datamodels.connections import ConnectionHookMetaData
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

from rees46_sync import VERSION
from rees46_sync.airflow_project.plugin import Rees46Plugin
from rees46_sync.provider import get_provider_info
from rees46_sync.rees46.connection import ExtraFields
from rees46_sync.rees46.dialects import DIALECTS
from rees46_sync.rees46.hook import Rees46Hook
from tests.conftest import PROJECT

AT_START_UP = """
import sys

# Airflow reads its providers while it is imported.
import airflow

assert "rees46_sync.provider" in sys.modules
ours = {"rees46_sync.rees46.hook", "rees46_sync.airflow_adapters.connections", "rees46_sync.shop.shop"}
heavy = {"croniter", "numpy", "pandas", "requests", "sqlparse"}
print((ours | heavy) & sys.modules.keys())
"""


@pytest.fixture(scope="module")
def form() -> ConnectionHookMetaData:
    [form] = [meta for meta in HookMetaService.hook_meta_data() if meta.connection_type == "rees46"]
    return form


def test_the_form_of_airflow_knows_the_type_and_its_hook(form: ConnectionHookMetaData) -> None:
    assert form.hook_name == "REES46"
    assert form.hook_class_name == f"{Rees46Hook.__module__}.{Rees46Hook.__name__}"


def test_the_form_calls_the_keys_what_rees46_calls_them(form: ConnectionHookMetaData) -> None:
    fields = form.standard_fields
    assert fields is not None
    assert (fields.login.title, fields.password.title) == ("Store key", "Secret key")  # type: ignore[union-attr]
    assert fields.host.placeholder == "api.rees46.com"  # type: ignore[union-attr]


def test_the_form_has_a_field_with_a_help_text_for_each_extra_that_the_hook_reads(form: ConnectionHookMetaData) -> None:
    extras = form.extra_fields or {}
    assert list(extras) == ["dialect", "status_text", "timeout_s", "concurrency", "min_interval_s"]
    assert list(extras) == list(ExtraFields.model_fields)
    assert all("Default: " in field["description"] for field in extras.values())
    assert extras["dialect"]["schema"]["enum"] == list(DIALECTS)
    assert extras["status_text"]["schema"]["enum"] == [
        text for dialect in DIALECTS.values() for text in dialect.status_texts
    ]


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("timeout_s", {"type": ["number", "null"], "exclusiveMinimum": 0}),
        ("concurrency", {"type": ["string", "null"]}),
        ("min_interval_s", {"type": ["number", "null"], "minimum": 0}),
    ],
)
def test_a_field_of_the_form_has_the_bounds_that_the_hook_checks_and_may_stay_empty(
    form: ConnectionHookMetaData, name: str, schema: dict[str, object]
) -> None:
    field = (form.extra_fields or {})[name]

    assert field["value"] is None
    assert {key: value for key, value in field["schema"].items() if key != "title"} == schema


def test_airflow_imports_nothing_heavy_for_the_form_at_its_start() -> None:
    done = subprocess.run([sys.executable, "-c", AT_START_UP], capture_output=True, text=True, timeout=120)

    assert (done.stdout, done.stderr, done.returncode) == ("set()\n", "", 0)


def test_the_provider_is_what_airflows_schema_of_providers_allows_and_names_modules_that_exist() -> None:
    info = get_provider_info()
    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())

    jsonschema.validate(info, schema)

    assert set(info) <= set(schema["properties"])
    assert info["package-name"] == metadata.metadata("airflow-provider-rees46")["Name"]
    modules = [module for kind in ("hooks", "operators") for entry in info[kind] for module in entry["python-modules"]]
    assert [import_module(name).__name__ for name in modules] == modules
    assert metadata.version("airflow-provider-rees46") == VERSION


def test_the_plugin_is_loaded_once_though_a_checkout_has_a_file_for_it_as_well() -> None:
    plugins, errors = plugins_manager._get_plugins()

    assert [str(plugin.source) for plugin in plugins if plugin.name == "rees46"] == [
        "airflow-provider-rees46=="
        f"{VERSION}: EntryPoint(name='rees46', value='rees46_sync.airflow_project.plugin:Rees46Plugin', "
        "group='airflow.plugins')"
    ]
    assert errors == {}


def test_the_file_brings_the_plugin_if_the_package_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "entry_points", lambda **_: [])

    names = runpy.run_path(str(PROJECT / "plugins" / "rees46_plugin.py"))

    assert names["Rees46Plugin"] is Rees46Plugin
