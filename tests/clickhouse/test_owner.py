"""A second process does not open an embedded database, and says who has it."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from audit_handler.clickhouse import _owner
from audit_handler.clickhouse._owner import check_owner, opening
from audit_handler.errors import SetupError
from tests.support.programs import World, output_of


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


def test_two_open_a_database_one_after_the_other(tmp_path: Path) -> None:
    has_left, found = threading.Event(), []

    def second() -> None:
        with opening(str(tmp_path)):
            found.append(has_left.is_set())

    other = threading.Thread(target=second)
    with opening(str(tmp_path)):
        other.start()
        has_left.set()
    other.join()

    assert [True] == found


def test_a_child_that_was_forked_meanwhile_keeps_no_other_process_out(tmp_path: Path) -> None:
    with opening(str(tmp_path)):
        # A forked child has them open too.
        inherited = [os.dup(handle) for handle in open_files() if is_in(handle, tmp_path)]

    with opening(str(tmp_path)):
        pass
    assert inherited
    for handle in inherited:
        os.close(handle)


def open_files() -> list[int]:
    return [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]


def is_in(handle: int, directory: Path) -> bool:
    return Path(f"/proc/self/fd/{handle}").resolve().is_relative_to(directory)


def test_a_process_whose_turn_does_not_come_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_owner, "_TURN_SECONDS", 0.0)

    with (
        opening(str(tmp_path)),
        pytest.raises(SetupError, match="has been opening the chDB database"),
        opening(str(tmp_path)),
    ):
        pass


@pytest.mark.once
def test_of_processes_that_start_together_one_opens_it_and_the_others_say_who(
    tmp_path: Path, database: str
) -> None:
    """All found the database free, and all engines but one wrote a trace with code 76."""
    world = World(tmp_path, f"chdb://{tmp_path}/db", database, None)
    program = """
        import chdb, fcntl
        os.dup2(1, 2)
        def wait_at(gate): fcntl.flock(os.open(gate, os.O_RDWR), fcntl.LOCK_SH)
        print("ready", flush=True)
        wait_at("{0}/start")
        log.info("n", extra={{"action": "C", "resource_type": "number", "resource_id": "0"}})
        assert handler.flush(60)
        print("stored", flush=True)
        wait_at("{0}/end")
        """
    with (tmp_path / "start").open("wb") as start, (tmp_path / "end").open("wb") as end:
        fcntl.flock(start, fcntl.LOCK_EX)
        fcntl.flock(end, fcntl.LOCK_EX)
        processes = [world.start(program.format(tmp_path)) for _ in range(4)]
        outputs = [process.stdout for process in processes if process.stdout]
        ready = {output.readline() for output in outputs}
        fcntl.flock(start, fcntl.LOCK_UN)
        first = [output.readline().decode() for output in outputs]
        fcntl.flock(end, fcntl.LOCK_UN)
        rest = [output_of(process)[0] for process in processes]

    assert {b"ready\n"} == ready
    (owner,) = [each for each, line in zip(processes, first, strict=True) if line == "stored\n"]
    assert [f"another process (pid {owner.pid}) has" in line for line in first].count(True) == 3
    assert not any(b"DB::" in text for text in rest)
    assert [0] * 4 == [process.returncode for process in processes]
