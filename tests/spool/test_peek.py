"""Peek: the rows that wait, bounded, and without a lock."""

from __future__ import annotations

import json
from pathlib import Path

from audit_handler.spool import DiskFiles, Spool
from tests.support.spools import leave_behind, make_spool, put_numbers


def seen(spool: Spool, max_bytes: int = 10**6) -> list[int | None]:
    return [json.loads(line)["n"] if line is not None else None for line in spool.peek(max_bytes)]


def test_all_rows_that_wait_are_seen_adopted_ones_first(tmp_path: Path) -> None:
    dead = make_spool(tmp_path)
    put_numbers(dead, 1, 4)
    leave_behind(dead)
    spool = make_spool(tmp_path)
    spool.adopt()
    put_numbers(spool, 5, 9)

    assert [1, 2, 3, 4, 5, 6, 7, 8, 9] == seen(spool)


def test_a_spool_without_rows_shows_none(spool: Spool) -> None:
    assert [] == seen(spool)


def test_more_bytes_than_asked_for_end_with_none(spool: Spool) -> None:
    put_numbers(spool, 1, 9)

    assert [1, 2, 3, None] == seen(spool, max_bytes=1)


def test_a_segment_that_is_renamed_meanwhile_is_read_under_its_next_name(tmp_path: Path) -> None:
    class Racing(DiskFiles):
        def read(self, path: Path, *, is_synced: bool = False) -> bytes:
            if path.suffix == ".ready" and path.exists():
                path.rename(path.with_suffix(".sending"))
            return super().read(path, is_synced=is_synced)

    spool = make_spool(tmp_path, files=Racing())
    put_numbers(spool, 1, 3)

    assert [1, 2, 3] == seen(spool)


def test_a_segment_that_is_removed_meanwhile_is_left_out(tmp_path: Path) -> None:
    class Racing(DiskFiles):
        def read(self, path: Path, *, is_synced: bool = False) -> bytes:
            if path.stem.endswith("1"):
                path.unlink(missing_ok=True)
            return super().read(path, is_synced=is_synced)

    spool = make_spool(tmp_path, files=Racing())
    put_numbers(spool, 1, 6)

    assert [4, 5, 6] == seen(spool)
