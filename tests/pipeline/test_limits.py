"""The limits of a run."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from rees46_sync.exceptions import JudgementError
from rees46_sync.pipeline.limits import exceeded_limits
from rees46_sync.shop.shop import Limits
from tests.conftest import ShopUnderTest


@pytest.mark.parametrize(
    ("share", "changed", "exceeded"),
    [
        pytest.param(0, 0, [], id="nothing"),
        pytest.param(0.049, 9, [], id="below"),
        pytest.param(5 / 100, 10, [], id="at"),
        pytest.param(0.1 / 2, 10, [], id="at-by-another-sum"),
        pytest.param(0.05 + 1e-9, 10, ["rejected_share"], id="share-just-above"),
        pytest.param(0.05, 11, ["changed_orders"], id="changed-just-above"),
        pytest.param(1.0, 0, ["rejected_share"], id="all-rejected"),
        pytest.param(0.0, 10**9, ["changed_orders"], id="very-many"),
        pytest.param(0.5, 11, ["changed_orders", "rejected_share"], id="both"),
    ],
)
def test_a_limit_is_exceeded_above_it_and_not_at_it(share: float, changed: int, exceeded: list[str]) -> None:
    limits = Limits(rejected_share=0.05, changed_orders=10)

    assert exceeded_limits({"rejected_share": share, "changed_orders": changed}, limits) == exceeded


@pytest.mark.parametrize(
    ("limits", "share", "changed", "exceeded"),
    [
        pytest.param(Limits(rejected_share=0, changed_orders=0), 0.0, 0, [], id="zero-takes-nothing"),
        pytest.param(
            Limits(rejected_share=0, changed_orders=0), 1e-6, 1, ["changed_orders", "rejected_share"], id="zero"
        ),
        pytest.param(Limits(rejected_share=1, changed_orders=5), 1.0, 5, [], id="one-takes-every-row"),
        pytest.param(Limits.model_validate({}), 0.05, 100_000, [], id="at-the-defaults"),
        pytest.param(
            Limits.model_validate({}), 0.0501, 100_001, ["changed_orders", "rejected_share"], id="above-the-defaults"
        ),
    ],
)
def test_each_shop_has_its_own_limits(limits: Limits, share: float, changed: int, exceeded: list[str]) -> None:
    assert exceeded_limits({"rejected_share": share, "changed_orders": changed}, limits) == exceeded


@pytest.mark.parametrize(
    ("counters", "name"),
    [
        pytest.param({"rejected_share": 0.0}, "changed_orders", id="one-missing"),
        pytest.param({"changed_orders": 0}, "rejected_share", id="other-missing"),
        pytest.param({"rejected_share": "low", "changed_orders": 0}, "rejected_share", id="text"),
        pytest.param({"rejected_share": float("nan"), "changed_orders": 0}, "rejected_share", id="nan"),
    ],
)
def test_a_run_whose_counters_cannot_be_judged_is_stopped(counters: dict[str, Any], name: str) -> None:
    with pytest.raises(JudgementError, match=f"could not judge {name} "):
        exceeded_limits(counters, Limits.model_validate({}))


def test_the_task_that_asks_for_the_limits_imports_nothing_heavy(shop: ShopUnderTest) -> None:
    partition = {"reading": {"read": 10}, "rejected": 0, "orders": 1}
    code = (
        "import json, sys; import airflow.sdk; before = set(sys.modules); "
        "from rees46_sync.pipeline.tasks import approve_changes; "
        "params = {'ignore_limits': False, 'dry_run': False}; "
        f"sent = approve_changes({str(shop.shops / 'test.yaml')!r}, [{partition!r}], [{partition!r}], params=params); "
        "print(json.dumps([len(sent), sorted(set(sys.modules) - before)]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    sent, modules = json.loads(done.stdout.splitlines()[-1])
    imported = {module.partition(".")[0] for module in modules}
    assert sent == 1
    assert "rees46_sync" in imported
    assert imported & {"great_expectations", "pandas", "pyarrow", "sqlalchemy", "duckdb", "requests"} == set()
