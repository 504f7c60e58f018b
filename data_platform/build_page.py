"""A page for people on what dbt did in a run: every model and test with status, rows, seconds and message."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from data_platform.settings import get_settings

KEPT_PAGES = 100
STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; width: 100% } th { text-align: left; border-bottom: 2px solid #999 }
td { border-bottom: 1px solid #ddd; vertical-align: top } th, td { padding: .3rem .6rem }
.number { text-align: right; font-variant-numeric: tabular-nums }
.success, .pass { color: #17692f } .warn { color: #8a5a00 } .error, .fail { color: #a40000; font-weight: 600 }
.skipped { color: #777 } pre { white-space: pre-wrap; margin: 0; font: inherit }
""".strip()


def folder() -> Path:
    """Where the pages stand."""
    return get_settings().reports_dir / "dbt"


def write(run_id: str, results: Sequence[Any]) -> Path:
    """Writes the run's page, and the list of all pages anew.

    Returns:
        The page's file.
    """
    folder().mkdir(parents=True, exist_ok=True)
    page = folder() / f"{run_id}.html"
    page.write_text(render(run_id, results), encoding="utf-8")
    _write_index()
    return page


def render(run_id: str, results: Sequence[Any]) -> str:
    """The page as HTML, self-contained."""
    rows = "\n".join(_row(result) for result in results)
    seconds = sum(result.execution_time for result in results)
    counts = {s: sum(1 for r in results if str(r.status) == s) for s in sorted({str(r.status) for r in results})}
    summary = ", ".join(f"{count} {status}" for status, count in counts.items()) or "nothing was built"
    body = (
        f"<p>{escape(summary)}; {seconds:.2f} s of work. <a href='index.html'>all runs</a></p>\n"
        "<table><thead><tr><th>what</th><th>status</th><th class=number>rows changed</th><th class=number>seconds</th>"
        f"<th>message</th></tr></thead>\n<tbody>\n{rows}\n</tbody></table>"
    )
    return _page(f"dbt in run {run_id}", body)


def _row(result: Any) -> str:
    node, status = result.node, str(result.status)
    return (
        f"<tr><td title='{escape(node.original_file_path)}'>{escape(node.resource_type)} {escape(node.name)}</td>"
        f"<td class='{escape(status)}'>{escape(status)}</td>"
        f"<td class=number>{_rows_changed(result)}</td><td class=number>{result.execution_time:.2f}</td>"
        f"<td><pre>{escape(str(result.message or ''))}</pre></td></tr>"
    )


def _rows_changed(result: Any) -> str:
    """Rows that a model changed, or that break a test; a dash where there is no such number: dbt says -1 of views."""
    is_model = result.node.resource_type == "model"
    found = result.adapter_response.get("rows_affected") if is_model else result.failures
    return "—" if found is None or found < 0 else str(found)


def _write_index() -> None:
    pages = sorted((p for p in folder().glob("*.html") if p.name != "index.html"), reverse=True)
    for old in pages[KEPT_PAGES:]:
        old.unlink(missing_ok=True)
    links = "\n".join(f"<li><a href='{escape(p.name)}'>{escape(p.stem)}</a></li>" for p in pages[:KEPT_PAGES])
    (folder() / "index.html").write_text(_page("dbt's runs, newest first", f"<ul>\n{links}\n</ul>"), encoding="utf-8")


def _page(title: str, body: str) -> str:
    return (
        f"<!doctype html>\n<html lang=en><head><meta charset=utf-8><title>{escape(title)}</title>"
        f"<style>{STYLE}</style></head>\n<body><h1>{escape(title)}</h1>\n{body}\n</body></html>\n"
    )
