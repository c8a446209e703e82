"""The HTML page of ``report``. It needs no other file, and runs no script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from audit_handler.cli._output import safe, text_of
from audit_handler.cli._report_figures import NUMBERS, Report, tables
from audit_handler.trail import Event

__all__ = ["page"]

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem;
       color: #1c2024; background: #fff }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #dde1e6;
         overflow-wrap: anywhere }
.number { text-align: right; font-variant-numeric: tabular-nums }
svg { width: 100%; height: 12rem } .ok { fill: #30a46c } .bad { fill: #e5484d }
@media (prefers-color-scheme: dark) { body { color: #eceef0; background: #151718 }
  th, td { border-color: #363b40 } }
"""


def page(report: Report) -> str:
    """Return one HTML page. Every value is escaped; its policy lets nothing run or load."""
    sections = "".join(
        f"<h2>{_html(title)}</h2>{_html_table(columns, rows)}"
        for title, columns, rows in tables(report)
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>Audit trail, {_html(report.since)} to {_html(report.until)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>Audit trail</h1>
<p>{_html(report.target)}<br>{_html(report.since)} to {_html(report.until)}</p>
<p><b>{report.events:,}</b> events, <b>{report.failures:,}</b> of them failures</p>
<h2>Activity</h2>
{_html_chart(report.activity)}
{sections}
</body>
</html>
"""


def _html_chart(activity: Sequence[Event]) -> str:
    """Return an SVG with one bar per time; the mouse pointer shows the figures of a bar."""
    if not activity:
        return "<p>No events.</p>"
    most = max(row["events"] for row in activity)
    bars = []
    for number, row in enumerate(activity):
        height = 100 * row["events"] / most
        bad = 100 * row["failures"] / most
        text = f"{row['time']}: {row['events']:,} events, {row['failures']:,} failures"
        bars.append(
            f"<g><title>{_html(text)}</title>"
            f"{_html_bar('ok', number, height)}{_html_bar('bad', number, bad)}</g>"
        )
    width = max(10, len(activity))
    return (
        f'<svg viewBox="0 0 {width} 100" preserveAspectRatio="none" role="img" '
        f'aria-label="events over time">{"".join(bars)}</svg>'
        f"<p>{_html(activity[0]['time'])} to {_html(activity[-1]['time'])} UTC, "
        f"highest bar: {most:,} events</p>"
    )


def _html_bar(kind: str, x: int, height: float) -> str:
    return f'<rect class="{kind}" x="{x}" width=".8" y="{100 - height:.2f}" height="{height:.2f}"/>'


def _html_table(columns: Sequence[str], rows: Sequence[Event]) -> str:
    if not rows:
        return "<p>None.</p>"

    def cell(tag: str, name: str, value: Any) -> str:
        mark = ' class="number"' if name in NUMBERS else ""
        return f"<{tag}{mark}>{_html(text_of(value))}</{tag}>"

    head = "".join(cell("th", name, name.replace("_", " ")) for name in columns)
    body = "".join(
        f"<tr>{''.join(cell('td', name, row[name]) for name in columns)}</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _html(text: str) -> str:
    return escape(safe(text))
