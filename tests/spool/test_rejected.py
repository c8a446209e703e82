"""Rejected rows: the format of ``rejected/``, written, read, rewritten and moved."""

from __future__ import annotations

from pathlib import Path

from tests.support.spools import make_spool


def test_set_aside_rows_are_no_writer(tmp_path: Path) -> None:
    spool = make_spool(tmp_path)
    path = spool.rejected.write("w", 1, 1, b"{}\n", [])

    assert spool.adopt() == 0
    assert path.read_bytes() == b"{}\n"
    assert path.parent == tmp_path / "rejected"
