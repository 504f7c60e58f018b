"""Takes the README's pictures of a running platform: ``make screenshots``.

Needs a green run of ``run_nightly`` (``make demo`` leaves one) and Debian's chromium.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from data_platform.failures import InputError, PlatformError
from data_platform.local.airflow import ADMIN, airflow_client, airflow_url
from data_platform.local.processes import wait_until
from data_platform.settings import Settings, get_settings
from data_platform.warehouse.connection import query, transaction

if TYPE_CHECKING:
    from playwright.sync_api import FloatRect, Page

IMAGES = Path(__file__).parent / "images"
NIGHT = "run_nightly"
ROLLBACK = "rollback_publication"
FLAGS = (
    "--headless",
    "--no-sandbox",  # in a container root has no namespaces to build one from; the pages are our own
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 60_000
WIDTH, HEIGHT = 1360, 690
MARGIN = 30
FORM = {"start": "1998-06-01", "end": "1998-07-01", "reason": "June's prices were corrected by hand"}


def main() -> int:
    """Takes all pictures; returns 0 when they are there."""
    try:
        settings = get_settings()
        dag_run, run_id = last_green_night(settings)
        IMAGES.mkdir(exist_ok=True)
        with signed_in(settings) as page:
            take_grid(page)
            take_graph(page, dag_run)
            take_form(page)
            take_backfill_dialog(page)
            take_dbt_page(page, settings, run_id)
            take_approval(page, settings)
    except PlatformError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def last_green_night(settings: Settings) -> tuple[str, str]:
    """Airflow's and the platform's id of the last night that took all steps and succeeded.

    Raises:
        InputError: when there is none.
    """
    airflow = airflow_client(settings)
    runs = airflow.get(f"/dags/{NIGHT}/dagRuns", state="success", order_by="-run_after")["dag_runs"]
    for run in runs:
        dag_run = run["dag_run_id"]
        if set(airflow.task_states(NIGHT, dag_run).values()) == {"success"}:
            path = f"/dags/{NIGHT}/dagRuns/{dag_run}/taskInstances/discover/xcomEntries/return_value"
            return dag_run, airflow.get(path, deserialize=True)["value"]["run_id"]
    raise InputError("there is no green night to take a picture of", hint="run `make demo`")


@contextmanager
def signed_in(settings: Settings) -> Iterator[Page]:
    """A browser's page, signed in to Airflow.

    Raises:
        InputError: when there is no chromium.
    """
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if not chromium:
        raise InputError("there is no chromium", hint="apt-get install -y --no-install-recommends chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        page = browser.new_page(
            viewport={"width": WIDTH, "height": HEIGHT},
            device_scale_factor=1.5,
            locale="en-GB",
            base_url=airflow_url(settings),
        )
        page.set_default_timeout(PATIENCE_MS)
        page.goto("/auth/login")
        page.locator("input[name=username]").fill(ADMIN)
        page.locator("input[name=password]").fill(settings.airflow_admin_password.get_secret_value())
        page.locator("button[type=submit]").click()
        page.wait_for_url(lambda url: "/auth/login" not in url)
        yield page
        browser.close()


def take_grid(page: Page) -> None:
    """The runs of the nightly DAG, a column each."""
    page.goto(f"/dags/{NIGHT}")
    page.get_by_text("gate_build").first.wait_for()
    widen_grid(page)
    save(page, "run_nightly_grid")


def widen_grid(page: Page) -> None:
    """Gives the columns of runs more room."""
    border = page.locator("[data-panel-resize-handle-id]").first.bounding_box()
    assert border, "Airflow's pages have no border between panels any more"
    page.mouse.move(border["x"] + border["width"] / 2, border["y"] + 20)
    page.mouse.down()
    page.mouse.move(460, border["y"] + 20, steps=5)
    page.mouse.up()
    page.mouse.move(0, 0)


def take_graph(page: Page, dag_run: str) -> None:
    """The chain of steps of one green night, as wide as the window."""
    page.evaluate("localStorage.setItem('default_dag_view', JSON.stringify('graph'))")
    page.goto(f"/dags/{NIGHT}/runs/{dag_run}")
    page.locator(".react-flow__node").first.wait_for()
    page.get_by_role("button", name="Collapse Details Panel").click()
    page.get_by_role("button", name="Fit View").click()
    page.mouse.move(0, 0)
    page.wait_for_timeout(1000)  # the graph glides into its place
    boxes = [box for node in page.locator(".react-flow__node").all() if (box := node.bounding_box())]
    left, top = min(box["x"] for box in boxes), min(box["y"] for box in boxes)
    width = max(box["x"] + box["width"] for box in boxes) - left
    height = max(box["y"] + box["height"] for box in boxes) - top
    clip: FloatRect = {
        "x": left - MARGIN,
        "y": top - MARGIN,
        "width": width + 2 * MARGIN,
        "height": height + 2 * MARGIN,
    }
    save(page, "run_nightly_graph", clip)


def take_form(page: Page) -> None:
    """The trigger form of the backfill, filled in."""
    page.goto("/dags/backfill_range")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    for name, text in FORM.items():
        form.locator(f"[name=element_{name}]").fill(text)
    page.set_viewport_size({"width": WIDTH, "height": 1350})
    form.get_by_text("Only tell what would be done").wait_for()
    save(page, "backfill_range_form", form.bounding_box())


def take_backfill_dialog(page: Page) -> None:
    """What Airflow asks of whoever wants nights again."""
    page.goto(f"/dags/{NIGHT}")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    form.get_by_text("Run this Dag for a range of dates").click()
    page.set_viewport_size({"width": WIDTH, "height": 1350})
    form.get_by_text("Reprocess Behavior").wait_for()
    page.wait_for_timeout(1000)  # the dialog grows into its size
    save(page, "night_backfill_dialog", form.bounding_box())


def take_dbt_page(page: Page, settings: Settings, run_id: str) -> None:
    """What dbt did in that night."""
    page.goto(f"http://127.0.0.1:{settings.reports_port}/dbt/{run_id}.html")
    table = page.locator("table").bounding_box()
    assert table
    height = table["y"] + table["height"] + MARGIN
    save(page, "dbt_models", {"x": 0, "y": 0, "width": WIDTH, "height": height})


def take_approval(page: Page, settings: Settings) -> None:
    """What a person sees who is asked to approve a rollback; the answer is no."""
    airflow = airflow_client(settings)
    airflow.unpause(ROLLBACK)
    with transaction() as connection:
        (newest,) = query(
            connection,
            """select max(publication_id) as id from ops.publication_tables
               where table_name like 'raw.%' and inserted + updated + deleted > 0""",
        )
    run_id = airflow.trigger(ROLLBACK, conf={"publication": newest["id"], "reason": "prices were in another currency"})
    wait_until(lambda: airflow.task_states(ROLLBACK, run_id)["approve"] == "awaiting_input", 120)
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    page.goto(f"/dags/{ROLLBACK}/runs/{run_id}/tasks/approve/required_actions")
    page.get_by_role("button", name="Approve").wait_for()
    save(page, "rollback_approval")
    page.get_by_role("button", name="Reject").click()
    airflow.wait_for_run(ROLLBACK, run_id)


def save(page: Page, name: str, clip: FloatRect | None = None) -> None:
    """Writes a picture of the page, or of a part of it."""
    page.wait_for_load_state("networkidle")
    page.screenshot(path=IMAGES / f"{name}.png", animations="disabled", clip=clip)


if __name__ == "__main__":
    sys.exit(main())
