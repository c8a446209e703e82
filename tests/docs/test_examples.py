"""The examples run, and ``examples/.env.example`` names every variable with its default."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from audit_handler.config import VARIABLES, Settings
from tests.support.paths import EXAMPLES, ROOT, SOURCE

pytestmark = pytest.mark.once


NEEDED = ("chdb", "httpx", "rich", "starlette", "uvicorn")
VARIABLE = r"(?:AUDIT|CLICKHOUSE|OTEL)_[A-Z_]+"


def example_environment() -> dict[str, str]:
    """Return the variables of .env.example, as if every line were in use."""
    text = (EXAMPLES / ".env.example").read_text(encoding="utf-8")
    return dict(re.findall(rf"^# ({VARIABLE})=(.*)$", text, flags=re.MULTILINE))


def test_the_example_environment_names_every_variable_that_settings_reads() -> None:
    package = SOURCE / "audit_handler"
    modules = [package / "config.py", package / "target.py", *(package / "_options").glob("*.py")]
    read = {name for path in modules for name in re.findall(rf'"({VARIABLE})"', path.read_text())}

    assert VARIABLES.keys() < read
    # Named in an error alone: it is not read.
    assert read - {"CLICKHOUSE_HOST"} == set(example_environment())


def test_the_example_environment_shows_the_defaults() -> None:
    environ = example_environment()
    alone = {"CLICKHOUSE_URL": environ["CLICKHOUSE_URL"]}

    assert Settings.resolve({}, alone) == Settings.resolve({}, environ)


def demo(data: Path) -> str:
    """Run the demo on the directory *data*, and return its output."""
    script = str(ROOT / "examples" / "demo.py")
    command = [sys.executable, script, "--requests", "40", "--data", str(data)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert 0 == ran.returncode, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.skipif(
    # find_spec, not an import: chDB would break the forks of other tests.
    any(importlib.util.find_spec(name) is None for name in NEEDED),
    reason=f"the demo needs {', '.join(NEEDED)}",
)
def test_the_demo_audits_every_request_and_adds_to_what_is_there(tmp_path: Path) -> None:
    first, second = demo(tmp_path), demo(tmp_path)

    for output, processes in ((first, 1), (second, 2)):
        counts = re.search(r"Complete: (\d+) events of this run must be stored, (\d+) are", output)
        assert counts is not None
        assert counts[1] == counts[2] != "0"
        assert processes == len(re.findall(r"0 +0 +complete", output))
        for text in (
            "APPROVE",
            "Ada Osei",
            "the carrier does not answer",
            '"iban":"***REDACTED***"',
        ):
            assert text in output
    assert "DE02120300000000202051" not in first + second
