"""The connection form of type ``rees46``, as Airflow's own code reads it from the installed package."""

from __future__ import annotations

import subprocess
import sys

import pytest
from airflow.api_fastapi.core_api.datamodels.connections import ConnectionHookMetaData
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

from rees46_sync.rees46.connection import ExtraFields
from rees46_sync.rees46.dialects import DIALECTS
from rees46_sync.rees46.hook import Rees46Hook

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
