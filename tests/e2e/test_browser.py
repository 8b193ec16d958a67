"""What a user does in Airflow's UI, with Chromium on a live Airflow; ``--screenshots DIR`` stores pictures."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from datetime import UTC, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

from .airflow_stack import PASSWORD, USERNAME
from .conftest import DAY, RUN_TIMEOUT_S, SYNC, UNMAPPED, LiveShop

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.browser,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium: apt-get install chromium"),
]

ALONE = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""It can run as root, and connects to Airflow only."""

REES46_STATUSES = ("created", "completed", "cancelled")
STEP_TIMEOUT_S = 120
"""On an idle machine a step takes a second."""


class Ui:
    """
    Airflow's UI in a browser, for a user who is logged in.

    :ivar page: for steps without a method.
    """

    def __init__(self, page: Page, url: str, pictures: Path | None) -> None:
        self.page = page
        self._url = url
        self._pictures = pictures

    def open(self, path: str) -> None:
        self.page.goto(f"{self._url}{path}")

    def log_in(self) -> None:
        self.open("/")
        self.page.locator("input[name=username]").fill(USERNAME)
        self.page.locator("input[name=password]").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_text("Dags", exact=True).first.wait_for()  # a link, from Airflow 3.4 on a button

    def take_picture(self, name: str) -> None:
        """Store a picture of the page, if a folder for pictures is set."""
        if self._pictures:
            self._pictures.mkdir(parents=True, exist_ok=True)
            self.page.mouse.move(0, 0)
            self.page.screenshot(path=self._pictures / f"{name}.png", animations="disabled")

    def dialog(self) -> Locator:
        return self.page.locator("[role=dialog][data-scope=dialog][data-state=open]")

    def says(self, text: str) -> None:
        """Wait until the page shows a text."""
        expect(self.page.get_by_text(text).first).to_be_visible()

    def open_trigger_form(self, dag_id: str) -> None:
        self.open(f"/dags/{dag_id}")
        self.page.get_by_role("button", name="Trigger Dag").click()
        expect(self.dialog().get_by_text("Window start", exact=True)).to_be_visible()

    def pick_time(self, nth: int, date: str, time: str) -> None:
        """Fill the nth date of the form: 0 is Airflow's own logical date."""
        field = self.dialog().get_by_test_id("datetime-input").nth(nth)
        field.click()
        calendar = self.page.locator("[data-scope=popover][data-part=content][data-state=open]")
        calendar.get_by_placeholder("YYYY/MM/DD").fill(date)
        calendar.get_by_placeholder("HH:mm").fill(time)
        field.click()
        expect(calendar).to_have_count(0)

    def trigger(self) -> str:
        """Send the form; return the path of the new run's page."""
        with self.page.expect_response(
            lambda answer: answer.request.method == "POST" and "/dagRuns" in answer.url
        ) as sent:
            self.dialog().get_by_test_id("trigger-dag-submit").click()
        # The UI shows its message for two seconds only.
        assert sent.value.ok
        run = sent.value.json()
        return f"/dags/{run['dag_id']}/runs/{run['dag_run_id']}"

    def wait_for_state(self, run: str, state: str) -> None:
        """Wait until a run's page shows the state beside the run's name; the page refreshes itself."""
        self.open(run)
        name = self.page.get_by_role("heading", name=run.rsplit("/", 1)[1])
        badge = name.locator("xpath=following::*[@data-testid='state-badge'][1]")
        expect(badge).to_have_text(state, timeout=RUN_TIMEOUT_S * 1000)


@pytest.fixture(scope="module")
def ui(_live_shop: LiveShop, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Ui]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("chromium"),
            executable_path=CHROMIUM,
            args=ALONE,
            viewport={"width": 1280, "height": 800},
        )
        browser.set_default_timeout(STEP_TIMEOUT_S * 1000)
        expect.set_options(timeout=STEP_TIMEOUT_S * 1000)
        ui = Ui(browser.pages[0], _live_shop.airflow.url, request.config.getoption("--screenshots"))
        ui.log_in()
        yield ui
        browser.close()


def test_a_window_of_the_form_is_synced_and_a_button_leads_to_its_data_docs(ui: Ui, live_shop: LiveShop) -> None:
    ui.open_trigger_form(SYNC)
    ui.pick_time(1, "2026/03/01", "00:00")
    ui.pick_time(2, "2026/03/03", "00:00")
    ui.take_picture("trigger-form")
    run = ui.trigger()

    ui.wait_for_state(run, "Success")
    ui.open(f"{run}/tasks/validate_statuses/mapped")
    expect(ui.page.get_by_role("link", name="1: 5,507 rows")).to_be_visible()
    ui.take_picture("green-run")
    assert live_shop.sandbox.state() == live_shop.final_statuses()
    account = live_shop.account(run.rsplit("/", 1)[1])
    start = DAY.replace(tzinfo=UTC)
    assert (account["window_start"], account["window_end"]) == (start, start + timedelta(days=2))

    ui.open(f"{run}/tasks/validate_statuses/mapped/1/details")
    ui.page.get_by_role("link", name="Data Docs").click()
    expect(ui.page.get_by_role("heading", name="Data Docs of live")).to_be_visible()
    expect(ui.page.get_by_role("row", name="7 status_unmapped the shop file does not map the status")).to_be_visible()
    ui.take_picture("data-docs")


def test_the_page_finds_an_order_and_exports_the_quarantine(ui: Ui, live_shop: LiveShop) -> None:
    run_id = live_shop.trigger()
    assert live_shop.end_of(run_id) == "success"
    order_id, status = next(iter(live_shop.final_statuses().items()))
    ui.open("/")
    ui.page.get_by_role("link", name="REES46", exact=True).click()
    frame = ui.page.frame_locator("iframe")
    frame.get_by_role("link", name="live", exact=True).click()
    expect(frame.get_by_text("Counted at")).to_be_visible()

    frame.get_by_label("Compare the warehouse").select_option("90d")
    frame.get_by_role("button", name="Compare").click()
    expect(frame.get_by_text("Nothing differs.")).to_be_visible()

    frame.get_by_role("link", name="Order look-up").click()
    frame.get_by_label("Order id, exactly").fill(order_id)
    frame.get_by_role("button", name="Look up").click()
    sent = frame.get_by_role("region", name="Statuses sent")
    expect(sent.get_by_text(REES46_STATUSES[status], exact=True)).to_be_visible()
    expect(sent.get_by_text(run_id)).to_be_visible()

    frame.get_by_role("link", name="Quarantine", exact=True).click()
    expect(frame.get_by_text("status_unmapped").first).to_be_visible()
    with ui.page.expect_download() as download:
        frame.get_by_role("link", name="Download these as CSV").click()
    with download.value.path().open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows if row["run_id"] == run_id] == ["lost"] * UNMAPPED


def test_the_tab_of_a_run_shows_its_sum_its_requests_and_how_to_repeat_it(ui: Ui, live_shop: LiveShop) -> None:
    run_id = live_shop.trigger()
    assert live_shop.end_of(run_id) == "success"
    ui.open(f"/dags/{SYNC}/runs/{quote(run_id, safe='')}")
    ui.page.locator("a[href$='/plugin/rees46-dag_run']").click()  # the tab; the navigation has a link of this name
    frame = ui.page.frame_locator("iframe")
    expect(frame.get_by_role("heading", name=run_id)).to_be_visible()
    expect(frame.get_by_role("img", name="The sum of this run")).to_be_visible()
    requests = frame.get_by_role("region", name="Its requests").get_by_role("row")
    expect(requests.filter(has_text="200").filter(has_text="accepted").first).to_be_visible()
    ui.take_picture("page-run")

    frame.get_by_role("link", name="RU", exact=True).click()
    expect(frame.locator("html[lang=ru]")).to_be_visible()
    frame.get_by_role("link", name="EN", exact=True).click()
    frame.get_by_role("link", name="Open the DAG").click()
    expect(ui.page.get_by_role("button", name="Trigger Dag")).to_be_visible()


def test_a_window_that_ends_before_it_starts_fails_the_task_with_a_remedy(ui: Ui, live_shop: LiveShop) -> None:
    ui.open_trigger_form(SYNC)
    ui.pick_time(1, "2026/03/03", "00:00")
    ui.pick_time(2, "2026/03/01", "00:00")
    run = ui.trigger()

    ui.wait_for_state(run, "Failed")
    ui.open(f"{run}/tasks/extract_orders")
    ui.says("is not before window_end 2026-03-01T00:00:00+00:00; swap them")
    assert live_shop.sandbox.stats()["requests"] == 0


def test_a_rees46_connection_is_created_in_its_form_and_tested_without_a_post(ui: Ui, live_shop: LiveShop) -> None:
    sandbox = live_shop.sandbox
    ui.open("/connections")
    ui.page.get_by_role("button", name="Add Connection").click()
    form = ui.dialog()
    form.locator("[name=connection_id]").fill("my_rees46")
    form.get_by_role("combobox").first.fill("REES46")
    ui.page.get_by_role("option", name="REES46", exact=True).click()
    for label in ("Host", "Store key", "Secret key"):
        expect(form.get_by_text(label, exact=True)).to_be_visible()
    for field, value in {
        "host": sandbox.host,
        "login": sandbox.shop_id,
        "password": sandbox.shop_secret,
        "port": str(sandbox.port),
        "schema": "http",
    }.items():
        form.locator(f"[name={field}]").fill(value)
    ui.take_picture("connection-form")
    form.get_by_role("button", name="Save").click()

    row = ui.page.get_by_role("row", name="my_rees46")
    with ui.page.expect_response("**/connections/test") as tested:
        row.get_by_role("button", name="Test Connection").click()
    ui.take_picture("connection-tested")
    # The UI shows its message for two seconds only.
    assert "Not checked: the keys, and whether order synchronisation is enabled" in tested.value.json()["message"]
    assert sandbox.stats()["requests"] == 0
