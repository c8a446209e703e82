"""Driver and engine are loaded once, and never across a fork."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from audit_handler.clickhouse._loading import load_driver, zstd
from audit_handler.errors import SetupError
from tests.support.commands import environment_with

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")


def said_by(program: str, **environ: str) -> str:
    """Run *program* in a separate interpreter with *environ*, and return its output."""
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program],
        env=environment_with(environ),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=100,
    ).stdout


def test_the_driver_is_returned() -> None:
    assert "clickhouse_connect" == load_driver(is_embedded=False).__name__


def test_zstd_packs_and_unpacks() -> None:
    assert b"row" * 100 == zstd().decompress(zstd().compress(b"row" * 100))


def test_an_engine_that_is_not_installed_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "chdb", None)

    with pytest.raises(SetupError, match=r"pip install 'audit-handler\[embedded\]'"):
        load_driver(is_embedded=True)


LOADS_TWICE = """
from audit_handler.clickhouse._loading import load_driver
from audit_handler.errors import SetupError

for _ in range(2):
    try:
        load_driver(is_embedded=True)
    except SetupError as exc:
        print(exc)
"""


@pytest.mark.parametrize(
    "zone", ["Foo/Bar", "CET-1CEST", "<+03>-3", "../../etc/passwd", "right/UTC"]
)
def test_a_time_zone_that_the_engine_cannot_load_is_named(zone: str) -> None:
    """It was reported as an engine that is not installed, or as a type registered twice."""
    lines = said_by(LOADS_TWICE, TZ=zone).splitlines()

    assert len(lines) == 2
    assert lines[0] == lines[1]
    assert f"TZ='{zone}'; set TZ to a name such as UTC or Europe/Berlin" in lines[0]


def test_the_package_is_imported_without_the_driver() -> None:
    program = (
        "import sys, audit_handler.clickhouse; "
        "print({'clickhouse_connect', 'chdb'} & sys.modules.keys())"
    )

    assert "set()" == said_by(program).strip()


INHERITS = """
import os
from audit_handler.clickhouse._loading import load_driver
from audit_handler.errors import SetupError

load_driver(is_embedded=True)
child = os.fork()
if not child:
    try:
        load_driver(is_embedded=True)
    except SetupError as exc:
        os.write(1, str(exc).encode())
    load_driver(is_embedded=False)
    os.write(1, b"; a server works")
    os._exit(0)
os.waitpid(child, 0)
os._exit(0)
"""


@needs_fork
def test_a_forked_child_of_a_process_with_the_engine_gets_an_error_and_may_use_a_server() -> None:
    said = said_by(INHERITS)

    assert "chDB was loaded before this process was forked" in said
    assert "; a server works" in said
