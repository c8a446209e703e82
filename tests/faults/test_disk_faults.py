"""
Faults of the spool's disk: full, read-only, removed. ``on_full`` decides, and every row is stored
or reported.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from audit_handler import SpoolError
from tests.faults.staging import (
    Application,
    Judge,
    Lines,
    needs_private_mounts,
    obeying_modes,
    on_small_disk,
)
from tests.support.loopback import LoopbackClickHouse
from tests.support.programs import World, output_of

pytestmark = pytest.mark.once


ROW = "disk full, spool directory removed or read-only"

# Prints n for a row that was taken, -n for one that was refused or dropped, and 0 for "the disk
# does not accept rows now".
ATTEMPT = """
from audit_handler import SpoolError

def attempt(number):
    before = handler.status().rows_dropped
    try:
        log.info("n", extra={
            "action": "COUNT", "resource_type": "number", "resource_id": str(number)
        })
        is_taken = handler.status().rows_dropped == before
    except SpoolError:
        is_taken = False
    os.write(1, b"%d\\n" % (number if is_taken else -number))
    return is_taken
"""


def _read_until_trouble(process: subprocess.Popen[bytes]) -> list[int]:
    """Return the numbers that *process* prints before it says that there is trouble."""
    assert process.stdout is not None
    numbers = []
    while number := int(process.stdout.readline()):
        numbers.append(number)
    return numbers


def _finished(process: subprocess.Popen[bytes]) -> tuple[list[int], str]:
    printed, complaints = output_of(process)
    assert process.returncode == 0, complaints.decode()
    return [int(line) for line in printed.splitlines()], complaints.decode()


@needs_private_mounts
@pytest.mark.parametrize("on_full", ["drop", "raise"])
def test_the_disk_is_full_and_rows_are_refused(world: World, judge: Judge, on_full: str) -> None:
    """A real file system of 300 KiB, filled while ClickHouse is away."""
    spool = world.directory / "spool"
    spool.mkdir()
    with world.server() as server:
        assert isinstance(server, LoopbackClickHouse)
        server.fault("http_status", status=503, times=-1)
        process = world.start(
            ATTEMPT
            + """
number = 1
while attempt(number):
    number += 1
for more in range(50):
    attempt(number + 1 + more)
os.write(1, b"0\\n")
handler.flush(90)
for more in range(100):
    assert attempt(number + 51 + more)
handler.flush()
assert handler.status().rows_waiting == 0
""",
            environment={
                "AUDIT_ON_FULL": on_full,
                "AUDIT_BATCH_BYTES": "65536",
                "AUDIT_MAX_SPOOL_BYTES": str(2**30),
            },
            wrapper=on_small_disk(spool, "300k"),
        )
        numbers = _read_until_trouble(process)
        server.clear_faults()
        more, complaints = _finished(process)
        taken = [number for number in numbers + more if number > 0]
        refused = [-number for number in numbers + more if number < 0]

        assert "No space left on device" in complaints
        assert 1 == complaints.count("An audit row was dropped")
        assert 1 <= len(refused) <= 51
        fault = f"disk full, on_full={on_full!r}, {len(refused)} refused"
        judge(ROW, fault, server, world.table, taken)


@needs_private_mounts
def test_the_disk_is_full_and_logger_calls_wait_for_room(world: World, judge: Judge) -> None:
    spool = world.directory / "spool"
    spool.mkdir()
    with world.server() as server:
        assert isinstance(server, LoopbackClickHouse)
        server.fault("http_status", status=503, times=-1)
        process = world.start(
            """
            def watch():
                while handler.can_take(): ended.wait(0.01)
                os.write(1, b"0\\n")
            ended = threading.Event()
            threading.Thread(target=watch).start()
            for number in range(1, 3001): audit(number)
            assert handler.flush()
            """,
            environment={
                "AUDIT_ON_FULL": "block",
                "AUDIT_BLOCK_TIMEOUT": "90",
                "AUDIT_BATCH_BYTES": "65536",
            },
            wrapper=on_small_disk(spool, "300k"),
        )
        numbers = _read_until_trouble(process)
        server.clear_faults()
        more, _ = _finished(process)

        assert len(numbers) < 3_000 == len(numbers + more)
        judge(ROW, "disk full, on_full='block'", server, world.table, numbers + more)


def test_a_write_that_the_disk_takes_half_of(world: World, judge: Judge) -> None:
    """
    A limit of 20,000 bytes for a file: the row that reaches it is written in part, then refused.

    With ``block`` the call waits until the segment was sealed for its age, and takes a new one.
    """
    with world.server() as server:
        acknowledged = world.run(
            """
            import resource
            audit(0)
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
            for number in range(1, 1000): audit(number)
            assert handler.flush()
            """,
            environment={"AUDIT_ON_FULL": "block"},
        )
        acknowledged += world.run("for number in range(1000, 1100): audit(number)")
        biggest = server.query(
            f"SELECT max(n) AS n FROM (SELECT count() AS n FROM {world.table} GROUP BY ingested_at)"
        )

        assert biggest[0]["n"] < 200
        judge(ROW, "writes end in the middle of a row", server, world.table, acknowledged)


def test_the_spool_directory_is_read_only_for_a_while(world: World, judge: Judge) -> None:
    with world.server() as server:
        process = world.start(
            ATTEMPT
            + """
from pathlib import Path
def chmod(mode):
    spool = Path(os.environ["AUDIT_SPOOL_DIR"])
    for path in [spool, *spool.rglob("*")]:
        if path.is_dir(): path.chmod(mode)
for number in range(1, 101): assert attempt(number)
assert handler.flush()
chmod(0o500)
number = 101
while attempt(number): number += 1
for more in range(50): attempt(number + 1 + more)
chmod(0o700)
for more in range(100): attempt(number + 51 + more)
handler.flush()
assert handler.status().rows_waiting == 0
""",
            environment={"AUDIT_ON_FULL": "raise"},
            wrapper=obeying_modes(),
        )
        numbers, complaints = _finished(process)
        taken = [number for number in numbers if number > 0]
        refused = [-number for number in numbers if number < 0]

        assert "Permission denied" in complaints
        assert refused
        assert taken[-100:] == list(range(taken[-1] - 99, taken[-1] + 1))
        judge(ROW, f"read-only, {len(refused)} refused", server, world.table, taken)


def test_the_spool_directory_is_removed_while_rows_wait(
    faults: LoopbackClickHouse,
    make_application: Callable[..., Application],
    lines: Lines,
    judge: Judge,
) -> None:
    """What waited is gone, which is said and counted; what comes after is stored."""
    app = make_application(faults, on_full="raise", batch_size=20)
    app.audit(100)
    assert app.handler.flush()
    faults.fault("http_status", status=503, times=-1)
    app.audit(50)
    lines.wait("does not accept rows")
    spool = app.handler.settings.spool_dir
    assert spool is not None
    shutil.rmtree(Path(spool))
    refused = 0
    for _ in range(100):
        try:
            app.audit(1)
        except SpoolError:
            refused += 1
    faults.clear_faults()
    assert not app.handler.flush()  # not everything is stored, and it says so
    first_after = len(app.acknowledged)
    app.audit(100)
    app.handler.flush()
    stored = {
        int(row["resource_id"]) for row in faults.query(f"SELECT resource_id FROM {app.table}")
    }
    missing = set(app.acknowledged) - stored
    status = app.handler.status()

    assert len(missing) == status.rows_lost > 0
    assert max(missing) < first_after
    assert 0 == status.rows_waiting
    assert lines.matching("Another program removed .* rows from the spool")
    fault = f"spool directory removed, {refused} calls refused"
    judge(ROW, fault, faults, app.table, app.acknowledged, reported=missing)
