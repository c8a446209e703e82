"""Adopted writers: their rows are delivered once, and their directories removed."""

from __future__ import annotations

from pathlib import Path

from audit_handler.spool import Segment
from tests.support.spools import leave_behind, make_spool, put_numbers, take_all


def test_rows_of_a_dead_process_are_adopted_oldest_first(tmp_path: Path) -> None:
    first, second = make_spool(tmp_path), make_spool(tmp_path)
    put_numbers(first, 1, 5)
    put_numbers(second, 6, 7)
    leave_behind(second)
    leave_behind(first)
    heir = make_spool(tmp_path)
    put_numbers(heir, 8, 8)

    assert heir.adopt() == 7
    assert list(range(1, 9)) == take_all(heir)


def test_the_directory_of_a_dead_process_is_removed_when_its_rows_are_delivered(
    tmp_path: Path,
) -> None:
    dead = make_spool(tmp_path)
    put_numbers(dead, 1, 4)
    dead.taken.helper_file(
        Segment(
            writer_id="",
            first_seq=1,
            rows=1,
            size=1,
            since=0.0,
            path=next(tmp_path.rglob("*.open")),
        ),
        "part.ndjson",
        b"left by an insert that was under way",
    )
    leave_behind(dead)
    heir = make_spool(tmp_path)
    heir.adopt()
    take_all(heir)

    assert list(tmp_path.iterdir()) == []


def test_adopted_rows_that_are_not_delivered_go_to_the_next_process(tmp_path: Path) -> None:
    dead, heir, next_heir = (make_spool(tmp_path) for _ in range(3))
    put_numbers(dead, 1, 4)
    leave_behind(dead)
    heir.adopt()
    assert heir.get(0.0) is not None
    heir.close()

    assert next_heir.adopt() == 4
    assert take_all(next_heir) == [1, 2, 3, 4]
