"""The HTML page of ``report``."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.support.commands import run

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]


def test_the_page_of_a_report_loads_nothing_and_escapes_stored_values(
    trail_dsn: str, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    result = run("report", "--dsn", trail_dsn, "--html", page)
    html = page.read_text()

    assert 0 == result.exit_code
    assert "&lt;b&gt;no" in html
    assert [] == [part for part in ("<b>no", "\x1b", "<script", "src=", "href=") if part in html]


def test_only_the_user_can_read_the_page_of_a_report(trail_dsn: str, tmp_path: Path) -> None:
    run("report", "--dsn", trail_dsn, "--html", tmp_path / "report.html")

    assert 0o600 == stat.S_IMODE((tmp_path / "report.html").stat().st_mode)
