"""A second process does not open an embedded database, and says who has it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from audit_handler.clickhouse._owner import check_owner
from audit_handler.errors import SetupError


@pytest.fixture
def occupy(tmp_path: Path) -> Iterator[Callable[[int], None]]:
    """Lock the database as the engine of the process with this id does."""
    with (tmp_path / "status").open("wb") as status:

        def lock(pid: int) -> None:
            status.write(b"PID: %d\nStarted at: 2026-11-27 06:52:15\n" % pid)
            status.flush()
            fcntl.flock(status, fcntl.LOCK_EX)

        yield lock


def test_the_database_of_another_process_is_refused_with_its_pid(
    tmp_path: Path, occupy: Callable[[int], None]
) -> None:
    occupy(os.getppid())

    with pytest.raises(SetupError, match=f"pid {os.getppid()}") as caught:
        check_owner(str(tmp_path))

    assert "ClickHouse server for several processes" in str(caught.value)


def test_the_database_that_this_process_has_open_may_be_opened_again(
    tmp_path: Path, occupy: Callable[[int], None]
) -> None:
    occupy(os.getpid())

    check_owner(str(tmp_path))


def test_a_database_that_no_process_has_open_may_be_opened(tmp_path: Path) -> None:
    check_owner(str(tmp_path))
    (tmp_path / "status").write_text("PID: 1\n")
    check_owner(str(tmp_path))
