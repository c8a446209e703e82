"""
The figures of the long runs: one JSON file each in ``.figures/reliability/``, which git ignores.
``tests.faults.page`` makes the page from them.
"""

from __future__ import annotations

import json
import os
import platform
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT

__all__ = ["DIRECTORY", "read", "write"]

DIRECTORY = ROOT / ".figures" / "reliability"


def write(path: Path, content: dict[str, Any]) -> None:
    """Write *content*, with when and on what it was measured, to the file *path*."""
    stamped = {
        "when": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        **content,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(stamped, indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> dict[str, Any]:
    """Return what the file *path* holds."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
