"""The README's first example, run as it is written; only its directory is the test's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from audit_handler.config import _VARIABLES, PROFILES
from tests.support.loopback import LoopbackClickHouse
from tests.support.paths import ROOT

pytestmark = pytest.mark.once

README = ROOT / "README.md"


def python_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_the_first_example_stores_its_row(tmp_path: Path) -> None:
    example = python_blocks()[0]
    assert "chdb:///var/lib/app/audit" in example
    program = example.replace("/var/lib/app/audit", f"{tmp_path}/audit")
    environment = {**os.environ, "AUDIT_SPOOL_DIR": str(tmp_path / "spool")}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=100)
    with LoopbackClickHouse.start(tmp_path / "audit") as server:
        rows = server.query(
            "SELECT action, resource_type, resource_id, agent_id, new_value, message, logger "
            "FROM audit_db.audit_logs"
        )

    assert rows == [
        {
            "action": "CREATE",
            "resource_type": "order",
            "resource_id": "o-17",
            "agent_id": "u-3",
            "new_value": '{"total":12}',
            "message": "order created",
            "logger": "shop",
        }
    ]


def test_every_block_of_python_compiles() -> None:
    blocks = python_blocks()

    assert len(blocks) >= 3
    for block in blocks:
        compile(block, "README.md", "exec")


@pytest.mark.parametrize("variable", _VARIABLES)
def test_every_environment_variable_is_in_the_table(variable: str) -> None:
    """But for the two that go with an argument whose line is about more than them."""
    told = README.read_text(encoding="utf-8")
    beside_others = {"AUDIT_BLOCK_TIMEOUT", "AUDIT_REDACT_DEFAULT_KEYS"}

    assert f"`{variable}`" in told or variable in beside_others


def test_every_profile_is_named() -> None:
    told = README.read_text(encoding="utf-8")

    assert [] == [name for name in PROFILES if f"`{name}`" not in told]
