"""What Airflow sees of the DAG files."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import ParamValidationError
from jsonschema import FormatChecker

from rees46_sync.airflow_adapters.retry_policy import Rees46RetryPolicy
from rees46_sync.airflow_project import sync
from rees46_sync.monitoring.gaps import closing_command
from tests.conftest import PROJECT, ShopUnderTest
from tests.whole_run import make_metadata_database

FRESHNESS, RECONCILE = "order_status_freshness", "order_status_reconcile"
TASKS = [
    "extract_orders",
    "validate_statuses",
    "build_batches",
    "approve_changes",
    "load_batches",
    "account_for_rows",
]


@pytest.fixture
def dags(shop: ShopUnderTest) -> dict[str, Any]:
    bag = DagBag(PROJECT / "dags")
    assert bag.import_errors == {}
    return {dag_id: dag for dag_id, dag in bag.dags.items() if dag_id not in (FRESHNESS, RECONCILE)}


def test_a_shop_file_becomes_an_hourly_and_a_history_dag(dags: dict[str, Any]) -> None:
    assert sorted(dags) == ["order_status_history_test", "order_status_sync_test"]


@pytest.mark.parametrize("dag_id", ["order_status_sync_test", "order_status_history_test"])
def test_the_tasks_follow_each_other_as_designed(dags: dict[str, Any], dag_id: str) -> None:
    dag = dags[dag_id]
    assert [task.task_id for task in dag.topological_sort()] == TASKS
    names = "changed_orders dry_run first_orders ignore_limits order_ids resend window_end window_start"
    assert sorted(dag.params) == names.split()
    assert not dag.catchup
    assert dag.max_active_runs == 1


@pytest.mark.parametrize("dag_id", ["order_status_sync_test", "order_status_history_test"])
def test_only_a_shop_that_asks_has_the_task_that_does_and_the_load_waits_for_it(
    shop: ShopUnderTest, dag_id: str
) -> None:
    shop.configure(on_limit="ask", approval_timeout="3h")

    dag = DagBag(PROJECT / "dags").dags[dag_id]

    assert [task.task_id for task in dag.topological_sort()] == [*TASKS[:4], "ask_approval", *TASKS[4:]]
    asking = dag.task_dict["ask_approval"]
    assert asking.upstream_task_ids == {"approve_changes"}
    assert asking.downstream_task_ids == {"load_batches"}
    assert dag.task_dict["load_batches"].upstream_task_ids == {"ask_approval"}
    assert asking.response_timeout == timedelta(hours=3)
    assert isinstance(asking.retry_policy, Rees46RetryPolicy)
    assert f"- **{asking.task_display_name}**" in dag.doc_md


@pytest.mark.parametrize("dag_id", ["order_status_sync_test", "order_status_history_test"])
def test_the_doc_in_the_ui_explains_each_task_and_each_field_of_the_form(dags: dict[str, Any], dag_id: str) -> None:
    dag = dags[dag_id]
    for task in dag.tasks:
        assert f"- **{task.task_display_name}** " in dag.doc_md
    titles = [dag.params.get_param(name).schema["title"] for name in dag.params]
    assert len(titles) == 8
    assert all(f"**{title}**" in dag.doc_md for title in titles)
    assert "**test**" in dag.doc_md


@pytest.mark.parametrize(
    ("base_url", "links"),
    [
        pytest.param("https://airflow.shop/below/", {"rees46": "https://airflow.shop/below/plugin/rees46"}, id="known"),
        pytest.param("", {}, id="unknown"),
        pytest.param("airflow.shop", {}, id="no-address"),
    ],
)
def test_the_owner_of_a_dag_links_to_the_page_if_airflow_knows_its_address(
    shop: ShopUnderTest, monkeypatch: pytest.MonkeyPatch, base_url: str, links: dict[str, str]
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)

    bag = DagBag(PROJECT / "dags")

    assert bag.import_errors == {}
    assert [dag.owner_links for name, dag in bag.dags.items() if name.endswith("_test")] == [links, links]
    assert {task.owner for dag in bag.dags.values() for task in dag.tasks} == {"rees46"}


def test_every_task_retries_by_the_policy_and_only_the_load_waits_for_the_pool(dags: dict[str, Any]) -> None:
    tasks = dags["order_status_sync_test"].task_dict
    assert all(task.retries >= 3 and isinstance(task.retry_policy, Rees46RetryPolicy) for task in tasks.values())
    pools = {name: task.pool for name, task in tasks.items() if task.pool != "default_pool"}
    assert pools == {"load_batches": "rees46_test"}


def test_every_task_is_ended_if_it_hangs(dags: dict[str, Any]) -> None:
    limits = {name: [task.execution_timeout for task in dag.tasks] for name, dag in dags.items()}

    assert len(limits) > 1
    assert all(timedelta(0) < limit <= timedelta(hours=6) for tasks in limits.values() for limit in tasks)


def test_the_hourly_load_goes_before_those_of_a_backfill(dags: dict[str, Any]) -> None:
    hourly, history = (dags[f"order_status_{name}_test"].task_dict["load_batches"] for name in ("sync", "history"))
    assert hourly.weight_rule == history.weight_rule
    assert hourly.priority_weight > history.priority_weight


def test_the_hourly_interval_is_an_hour_long(dags: dict[str, Any]) -> None:
    timetable = dags["order_status_sync_test"].timetable
    assert type(timetable).__name__ == "CronDataIntervalTimetable"


def test_a_feed_asset_starts_the_hourly_dag_as_well(shop: ShopUnderTest) -> None:
    shop.configure(feed_asset="s3://feeds/test.xml")
    dags = DagBag(PROJECT / "dags").dags
    assert "s3://feeds/test.xml" in str(dags["order_status_sync_test"].timetable.asset_condition)
    assert not dags["order_status_history_test"].timetable.asset_condition


def test_a_broken_shop_file_is_an_import_error_of_its_own_and_stops_no_other_shop(shop: ShopUnderTest) -> None:
    (shop.shops / "broken.yaml").write_text("shop: broken\nquery: nowhere.sql\n")
    (shop.shops / "worse.yaml").write_text("{")
    bag = DagBag(PROJECT / "dags")
    assert sorted(bag.dags) == [FRESHNESS, "order_status_history_test", RECONCILE, "order_status_sync_test"]
    [(file, error)] = bag.import_errors.items()
    assert Path(file).name == "broken_shop_files.py"
    assert "Shop file broken.yaml: " in error
    assert "Shop file worse.yaml: " in error


def test_one_dag_checks_the_freshness_of_all_shops_that_exist_when_it_runs(shop: ShopUnderTest) -> None:
    dag = DagBag(PROJECT / "dags").dags[FRESHNESS]
    assert [task.task_id for task in dag.topological_sort()] == ["list_shops", "check_freshness"]
    assert (dag.max_active_runs, dag.catchup) == (1, False)
    assert all(f"- **{task.task_display_name}** " in (dag.doc_md or "") for task in dag.tasks)


def test_one_dag_compares_all_shops_once_a_week_one_after_another(shop: ShopUnderTest) -> None:
    dag = DagBag(PROJECT / "dags").dags[RECONCILE]
    assert [task.task_id for task in dag.topological_sort()] == ["list_shops", "reconcile"]
    assert (dag.max_active_runs, dag.catchup) == (1, False)
    assert dag.task_dict["reconcile"].max_active_tis_per_dag == 1
    assert all(isinstance(task.retry_policy, Rees46RetryPolicy) for task in dag.tasks)
    assert all(f"- **{task.task_display_name}** " in (dag.doc_md or "") for task in dag.tasks)


def test_two_lines_are_a_dag_file_of_ones_own(shop: ShopUnderTest, tmp_path: Path) -> None:
    file = tmp_path / "project" / "dags" / "ours.py"
    file.parent.mkdir(parents=True)
    file.write_text("from rees46_sync.airflow_project import create_dags\ncreate_dags(__file__)\n")

    bag = DagBag(file.parent)

    assert bag.import_errors == {}
    assert sorted(bag.dags) == [FRESHNESS, "order_status_history_test", RECONCILE, "order_status_sync_test"]
    assert {dag.fileloc for dag in bag.dags.values()} == {str(file)}


def test_its_shop_files_are_in_include_beside_it_unless_a_variable_names_another_folder(
    shop: ShopUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(shop.shops, tmp_path / "project" / "include" / "shops")
    monkeypatch.setenv("REES46_SHOPS_DIR", "")
    (tmp_path / "project" / "dags").mkdir()
    (tmp_path / "project" / "dags" / "ours.py").write_text(
        "from rees46_sync.airflow_project import create_sync_dags\ncreate_sync_dags(__file__)\n"
    )

    [dag, _] = DagBag(tmp_path / "project" / "dags").dags.values()

    [path] = {dag.task_dict["extract_orders"].op_args[0]}
    assert path == str(tmp_path / "project" / "include" / "shops" / "test.yaml")


def test_a_dag_has_none_of_the_params_that_a_run_of_another_one_has_set(shop: ShopUnderTest) -> None:
    definition = shop.configure()
    first = sync.build_dag(definition, history=False)
    first.params.update({"dry_run": True, "order_ids": ["1"]})  # as Airflow does for a run with a conf

    again, history = (sync.build_dag(definition, history=history) for history in (False, True))

    assert [dag.params.dump()["dry_run"] for dag in (again, history)] == [False, False]


def test_airflow_takes_each_window_of_our_documents_and_commands_also_if_it_checks_for_a_zone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It does if the package ``rfc3339-validator`` is installed; a time without a zone is refused then."""
    rfc3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
    has_zone = (lambda text: not isinstance(text, str) or bool(rfc3339.fullmatch(text)), ())
    monkeypatch.setitem(FormatChecker.checkers, "date-time", has_zone)
    day = datetime(2026, 3, 1, tzinfo=ZoneInfo("Europe/Berlin"))
    ours = "".join(file.read_text("utf-8") for file in [*(PROJECT / "docs").glob("*.md"), PROJECT / "README.md"])
    windows = re.findall(r'"(window_\w+)": "([^"]+)"', ours + closing_command("test", (day, day + timedelta(days=1))))
    assert len(windows) >= 6

    for name, text in windows:
        assert sync.make_params()[name].resolve(text) == text
    with pytest.raises(ParamValidationError, match="is not a 'date-time'"):
        sync.make_params()["window_start"].resolve("2026-03-01T00:00:00")


@pytest.mark.parametrize("file", ["order_status_sync.py", "order_status_freshness.py", "order_status_reconcile.py"])
def test_parsing_imports_nothing_heavy(shop: ShopUnderTest, file: str) -> None:
    shop.configure(notify=[{"email": ["ops@example.com"]}, {"slack": "#orders"}, {"webhook": "/alerts"}])
    code = (
        # With what Airflow itself imports for a task in Python, which is more in some of its versions.
        "import sys, json, runpy; import airflow.sdk, airflow.providers.standard.decorators.python; "
        "before = set(sys.modules); "
        f"runpy.run_path({str(PROJECT / 'dags' / file)!r}); "
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = json.loads(done.stdout.splitlines()[-1])
    imported = {module.partition(".")[0] for module in modules}
    assert "rees46_sync" in imported
    assert imported & {"pandas", "great_expectations", "sqlalchemy", "requests", "duckdb", "pyarrow", "rich"} == set()
    providers = {module.split(".")[2] for module in modules if module.startswith("airflow.providers.")}
    assert providers & {"smtp", "slack", "http"} == set()


def test_the_dag_processor_has_loaded_the_plugin_before_it_forks_to_parse(tmp_path: Path) -> None:
    """Parsing a file does not import again what the plugin has imported: bench/parsing.py measures it so."""
    make_metadata_database()
    (tmp_path / "dags").mkdir()
    found = tmp_path / "found.json"
    file = tmp_path / "dags" / "probe.py"
    file.write_text(
        "# Airflow looks only into files that contain the words airflow and dag.\n"
        "import json, os, pathlib, sys\n"
        f"pathlib.Path({str(found)!r}).write_text(json.dumps([os.getppid(), sorted(sys.modules)]))\n"
    )
    command = [Path(sys.executable).with_name("airflow"), "dag-processor", "--num-runs", "1"]
    environment = os.environ | {"AIRFLOW__CORE__DAGS_FOLDER": str(file.parent)}

    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert process.wait(timeout=120) == 0

    parent, modules = json.loads(found.read_text())
    assert parent == process.pid
    ours = {"rees46_sync.airflow_project.plugin", "rees46_sync.pipeline.run", "rees46_sync.monitoring.check_freshness"}
    assert ours | {"pydantic", "sqlparse", "croniter"} <= set(modules)


@pytest.mark.parametrize("file", ["order_status_sync.py", "order_status_freshness.py", "order_status_reconcile.py"])
def test_parsing_imports_nothing_of_ours_that_the_dag_processor_has_not_imported(
    shop: ShopUnderTest, file: str
) -> None:
    path = str(PROJECT / "dags" / file)
    code = (
        "import importlib, json, sys; "
        "from airflow.dag_processing.dagbag import DagBag; "
        "from airflow.listeners.listener import get_listener_manager; "
        "from airflow.utils.file import iter_airflow_imports; "
        "get_listener_manager(); "
        f"[importlib.import_module(name) for name in iter_airflow_imports({path!r})]; "
        "before = set(sys.modules); "
        f"errors = DagBag({path!r}).import_errors; "
        "print(json.dumps([errors, sorted(set(sys.modules) - before)]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    errors, modules = json.loads(done.stdout.splitlines()[-1])
    assert errors == {}
    assert any(module.startswith("unusual_prefix_") for module in modules)  # the file was parsed
    imported = {module.partition(".")[0] for module in modules if not module.startswith("unusual_prefix_")}
    # If tasks are made by airflow.sdk.task, packaging is among them; compiling its patterns takes as long as a DAG.
    assert imported - {"airflow", "encodings"} == set()
