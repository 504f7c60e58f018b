"""Takes the runbooks' pictures on a platform of its own, on which things go wrong: ``make screenshots``.

Needs Debian's chromium.
"""

from __future__ import annotations

import io
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text
from screenshots import IMAGES, WIDTH, save, signed_in, widen_grid

from benchmarks.platform import NIGHT, Platform, interval_of, project_beside, running_platform
from data_platform.failures import PlatformError
from data_platform.intervals import ONE_DAY, Interval
from data_platform.local.processes import wait_until
from data_platform.publish import LOCK
from data_platform.settings import get_settings
from data_platform.warehouse.connection import execute, transaction

if TYPE_CHECKING:
    from playwright.sync_api import Page

HISTORY = Interval(date(1998, 5, 26), date(1998, 6, 11))
LATE_DAY, GIFTS_DAY, STUCK_DAY = (HISTORY.start + days * ONE_DAY for days in (3, 10, 11))
GIFTS = 40
SHOWN_AS = "/srv/platform"  # instead of the folder of the moment
COLUMNS = 200
TERMINAL = """<body style="margin: 0; background: white; font: 13px 'DejaVu Sans Mono', monospace">
<pre style="margin: 0; padding: 14px; width: fit-content; font: inherit">{code}</pre></body>"""


def main() -> int:
    """Takes all pictures; returns 0 when they are there."""
    try:
        IMAGES.mkdir(exist_ok=True)
        with TemporaryDirectory() as folder:
            Path(folder).chmod(0o755)  # PostgreSQL runs as another user when we are root
            take_all(Path(folder))
    except PlatformError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def take_all(folder: Path) -> None:
    """One trouble after the other; each is over when the next one comes."""
    with running_platform(folder, HISTORY.end, strict_project(folder / "project")) as platform:
        platform.land(HISTORY)
        platform.load(HISTORY)
        with signed_in(get_settings()) as page:
            take_late_data(page, platform)
            take_failed_gate(page, platform)
            take_stuck_run(page, platform)
            take_lost_machine(page, platform)


def strict_project(folder: Path) -> Path:
    """Our project, but that many gifts stop a run."""
    project = project_beside(folder, "contracts")
    contract = project / "contracts/sources/shop/purchases.odcs.yaml"
    before, rule, after = contract.read_text(encoding="utf-8").partition("- id: gifts_are_rare")
    assert "severity: warning" in after, "the contract has no such rule any more"
    after = after.replace("severity: warning", "severity: error", 1)
    contract.write_text(before + rule + after, encoding="utf-8")
    return project


def purchases_of(day: date) -> Path:
    """The file of a day."""
    return Path(get_settings().landing) / "shop" / "purchases" / f"{day}.txt"


def take_late_data(page: Page, platform: Platform) -> None:
    """What is told of a file that came late, and of one that was corrected."""
    header, *lines = purchases_of(LATE_DAY).read_bytes().splitlines(keepends=True)
    purchases_of(LATE_DAY).with_name("till-2.txt").write_bytes(header + lines[0].replace(b"  1 ", b"  2 "))
    with purchases_of(LATE_DAY + 5 * ONE_DAY).open("ab") as file:
        file.write(lines[0].replace(f"{LATE_DAY:%Y%m%d}".encode(), f"{LATE_DAY + 5 * ONE_DAY:%Y%m%d}".encode()))
    take_terminal(page, platform, "late_data", "dp discover --dry-run")
    platform.dp("run")


def take_failed_gate(page: Page, platform: Platform) -> None:
    """The log of a gate that a rule of the contract has closed."""
    file = purchases_of(GIFTS_DAY)
    kept = file.read_bytes()
    gift = f" 00001 {GIFTS_DAY:%Y%m%d}  1   0.00\r\n".encode()
    file.write_bytes(kept + gift * GIFTS)
    run_id = platform.airflow.trigger(NIGHT, interval=interval_of(GIFTS_DAY))
    platform.airflow.wait_for_run(NIGHT, run_id)
    page.goto(f"/dags/{NIGHT}/runs/{run_id}/tasks/gate_stage")
    page.get_by_text("gifts_are_rare").first.wait_for()
    page.wait_for_timeout(1000)  # the log scrolls to its end
    stack = page.get_by_text('File "').first.bounding_box()
    assert stack, "Airflow shows no stack below the message any more"
    save(page, "failed_gate", {"x": 0, "y": 0, "width": WIDTH, "height": stack["y"]})
    file.write_bytes(kept)


def take_stuck_run(page: Page, platform: Platform) -> None:
    """A run whose publication waits for a connection that holds the lock."""
    with purchases_of(STUCK_DAY).open("ab") as file:
        file.write(f" 00001 {STUCK_DAY:%Y%m%d}  1  11.77\r\n".encode())
    with transaction(application="psql of somebody") as somebody:
        execute(somebody, "select pg_advisory_xact_lock(%s)", (LOCK,))
        run_id = platform.airflow.trigger(NIGHT, interval=interval_of(STUCK_DAY))
        assert wait_until(lambda: "waits for" in platform.dp("runs", "--limit", "1"), 180)
        page.goto(f"/dags/{NIGHT}/runs/{run_id}")
        page.get_by_text("publish").first.wait_for()
        widen_grid(page)
        save(page, "stuck_run")
        take_terminal(page, platform, "stuck_run_waits", "dp runs --limit 2")
    platform.airflow.wait_for_run(NIGHT, run_id)


def take_lost_machine(page: Page, platform: Platform) -> None:
    """A backup, and how it is restored where there is nothing."""
    backup = platform.directory / "backups" / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    platform.dp("backup", "--to", str(backup))
    platform.stop()
    environment = platform.directory / "env"
    text = environment.read_text(encoding="utf-8")
    environment.write_text(text.replace("/state\n", "/.state\n"), encoding="utf-8")
    get_settings.cache_clear()
    take_terminal(page, platform, "restore", f"dp restore {backup}", "dp stale")


def take_terminal(page: Page, platform: Platform, name: str, *commands: str) -> None:
    """What commands print."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    for command in commands:
        program, *arguments = command.split()
        done = subprocess.run(
            [Path(sys.executable).with_name(program), *arguments],
            capture_output=True,
            text=True,
            check=True,
        )
        said = f"$ .venv/bin/{command}\n{done.stdout}{done.stderr}".replace(str(platform.directory), SHOWN_AS)
        console.print(Text(said))
    page.set_content(console.export_html(inline_styles=True, code_format=TERMINAL))
    page.locator("pre").screenshot(path=IMAGES / f"{name}.png")


if __name__ == "__main__":
    sys.exit(main())
