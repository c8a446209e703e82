"""``make redaction`` prints its figures, writes them to their page, and lists public values."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import environment_with
from tests.support.paths import ROOT, SOURCE

pytestmark = pytest.mark.once


def redaction(directory: Path, *arguments: str) -> str:
    """Run the script with *directory* for its temporary files, and return its output."""
    paths = os.pathsep.join([str(SOURCE), str(ROOT)])
    ran = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "redaction.py"), *arguments],
        env=environment_with({"PYTHONPATH": paths, "TMPDIR": str(directory)}),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert 0 == ran.returncode, ran.stderr
    return ran.stdout


def test_three_cases_are_measured_and_no_page_is_written(tmp_path: Path) -> None:
    page = tmp_path / "REDACTION.md"

    printed = redaction(tmp_path, "--cases", "3", "--page", str(page))

    assert "secrets hidden, of 3" in printed
    assert not page.exists()


def test_a_library_that_is_not_installed_is_named(tmp_path: Path) -> None:
    printed = redaction(tmp_path, "--cases", "1")

    for library in ("gitleaks", "detect-secrets", "Sentry SDK"):
        assert f"Without {library}: " in printed or re.search(rf"  {library} \d", printed)


def test_the_figures_replace_those_of_the_last_run_and_leave_the_text_around_them(
    tmp_path: Path,
) -> None:
    page = tmp_path / "REDACTION.md"
    page.write_text("# Redaction\n\nBefore.\n", encoding="utf-8")
    redaction(tmp_path, "--page", str(page))
    once = page.read_text(encoding="utf-8")
    page.write_text(once.replace("secrets hidden", "old") + "\nAfter.\n", encoding="utf-8")

    redaction(tmp_path, "--page", str(page))

    assert once + "\nAfter.\n" == page.read_text(encoding="utf-8")
    assert once.startswith("# Redaction\n\nBefore.\n\n<!-- ")


def test_values_redacted_in_public_events_are_listed_by_name(tmp_path: Path) -> None:
    rules = tmp_path / "events" / "owner+panther-analysis" / "rules"
    rules.mkdir(parents=True)
    rule = "Tests:\n  - Log: {at: 2026-11-27, who: ann, password: %s}\n"
    for number, value in enumerate(("hunter2", "hunter2", "hunter3")):
        (rules / f"{number}.yml").write_text(rule % value, encoding="utf-8")

    printed = redaction(tmp_path, "--cases", "1", "--events", str(tmp_path / "events"))

    assert re.search(r"panther-analysis +3 +3 +1\n", printed)
    assert re.search(r"ocsf/examples +not there", printed)
    (listing,) = tmp_path.glob("redacted-values-*.txt")
    assert [
        "## password: 3 values, 2 different",
        "      2  panther-analysis  password  'hunter2'",
        "      1  panther-analysis  password  'hunter3'",
    ] == listing.read_text(encoding="utf-8").splitlines()
