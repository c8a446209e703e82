"""A spool on a disk and one in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from audit_handler.spool import DiskFiles, MemoryFiles, Spool
from tests.support.spools import make_spool


@pytest.fixture(params=["disk", "memory"])
def spool(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Spool]:
    """A spool; both kinds behave the same."""
    files = DiskFiles() if request.param == "disk" else MemoryFiles()
    spool = make_spool(tmp_path / "target", files=files)
    yield spool
    spool.close()
