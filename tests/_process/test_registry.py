"""
The registry: however a process ends or forks, each logger call that returned is stored once, by
this process or by the next one.

Nearly every test runs real programs. Only they open chDB, and a loopback server that looks at the
result: a process that has loaded it cannot fork safely, and pytest's process must be able to.
"""

from __future__ import annotations

import signal
import weakref
from pathlib import Path

import pytest

from audit_handler._process import registry
from tests.support.doubles import SteppingClock
from tests.support.loopback import LoopbackClickHouse
from tests.support.programs import PRELUDE, World, output_of


@pytest.fixture(params=["http", pytest.param("chdb", marks=pytest.mark.once)])
def world(request: pytest.FixtureRequest, tmp_path: Path, database: str) -> World:
    if request.param == "http":
        server: LoopbackClickHouse = request.getfixturevalue("loopback")
        return World(tmp_path, server.dsn(database), database, server)
    return World(tmp_path, f"chdb://{tmp_path}/db", database, None)


@pytest.fixture
def http_world(tmp_path: Path, database: str, loopback: LoopbackClickHouse) -> World:
    """For tests that do not depend on the engine."""
    return World(tmp_path, loopback.dsn(database), database, loopback)


def test_a_program_that_simply_ends_has_delivered_all(world: World) -> None:
    acknowledged = world.run("for number in range(5000): audit(number)")

    assert 5_000 == len(acknowledged)
    world.assert_whole(acknowledged)


@pytest.mark.once
def test_eight_threads_on_chdb_lose_double_and_disorder_nothing(
    tmp_path: Path, database: str
) -> None:
    world = World(tmp_path, f"chdb://{tmp_path}/db", database, None)
    acknowledged = world.run(
        """
        threads = [
            threading.Thread(target=lambda t=t: [audit(t * 2500 + n) for n in range(2500)]) for t in
            range(8)
        ]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        """
    )

    assert 20_000 == len(acknowledged)
    world.assert_whole(acknowledged)
    in_order = world.query(
        "SELECT intDiv(toUInt32(resource_id), 2500) AS t, "
        "groupArray(toUInt32(resource_id)) AS numbers "
        f"FROM (SELECT * FROM {world.table} ORDER BY seq) GROUP BY t"
    )
    assert 8 == len(in_order)
    assert all(row["numbers"] == sorted(row["numbers"]) for row in in_order)


def test_what_a_killed_program_logged_is_delivered_by_the_next(world: World) -> None:
    acknowledged: list[int] = []
    for start in (0, 100_000, 200_000):
        process = world.start(f"for number in range({start}, {start} + 100000): audit(number)")
        assert process.stdout is not None
        acknowledged += [int(process.stdout.readline()) for _ in range(2_000)]
        process.kill()
        acknowledged += [int(line) for line in process.stdout.read().split(b"\n")[:-1]]
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    world.finish()

    # Each of the three may have been killed between the write of a row and the print of its number.
    world.assert_whole(acknowledged, surplus=3)


ENDINGS = {
    "sys.exit": ("sys.exit(3)", 3),
    "exception": ("raise ValueError('no handler for this one')", 1),
    "os._exit": ("os._exit(4)", 4),
    "SIGTERM": ("os.kill(os.getpid(), signal.SIGTERM); signal.pause()", -signal.SIGTERM),
    "SystemExit in a SIGTERM handler": (
        """
signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGTERM]).start()
number = 1000
while True:
    audit(number)
    number += 1
""",
        5,
    ),
    "audit in a SIGTERM handler": (
        """
def stop(*_):
    audit(-1)
    sys.exit(6)
signal.signal(signal.SIGTERM, stop)
threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGTERM]).start()
number = 1000
while True:
    audit(number)
    number += 1
""",
        6,
    ),
    "audit in an exit hook": ("import atexit; atexit.register(audit, 1000)", 0),
    "audit in an exit hook that comes after ours": (
        "import atexit; from audit_handler._process.registry import close_all as ours; "
        "atexit.unregister(ours); "
        "atexit.register(audit, 1000); atexit.register(ours)",
        0,
    ),
    "daemon thread": (
        """
started = threading.Event()
def work():
    number = 1000
    while True:
        audit(number)
        number += 1
        started.set()
threading.Thread(target=work, daemon=True).start()
started.wait()
""",
        0,
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_however_a_program_ends_nothing_is_lost(http_world: World, ending: str) -> None:
    program, status = ENDINGS[ending]
    acknowledged = http_world.run("for number in range(100): audit(number)\n" + program, status)
    http_world.finish()

    assert 100 <= len(acknowledged)
    http_world.assert_whole(acknowledged, surplus=1)


@pytest.mark.once
@pytest.mark.parametrize("ending", ["sys.exit", "os._exit", "audit in an exit hook"])
def test_however_a_program_with_chdb_ends_nothing_is_lost(
    tmp_path: Path, database: str, ending: str
) -> None:
    world = World(tmp_path, f"chdb://{tmp_path}/db", database, None)
    program, status = ENDINGS[ending]
    acknowledged = world.run("for number in range(100): audit(number)\n" + program, status)
    world.finish()

    world.assert_whole(acknowledged)


def test_a_first_audit_while_the_interpreter_ends_is_delivered_by_the_next(
    http_world: World,
) -> None:
    """From Python 3.12 no thread starts at that time, so there is no listener."""
    acknowledged = http_world.run("import atexit; atexit.register(audit, 1)")
    http_world.finish()

    assert [1] == acknowledged
    http_world.assert_whole(acknowledged)


@pytest.mark.parametrize("ending", ["os._exit(0)", "sys.exit(0)", "pass"])
def test_parent_and_forked_child_are_each_whole(http_world: World, ending: str) -> None:
    acknowledged = http_world.run(
        f"""
        for number in range(1000): audit(number)
        child = os.fork()
        if child == 0:
            for number in range(1000, 2000): audit(number)
            {ending}
        else:
            for number in range(2000, 3000): audit(number)
            os.waitpid(child, 0)
        """
    )
    http_world.finish()

    assert 3_000 == len(acknowledged)
    http_world.assert_whole(acknowledged)
    assert 2 == len(
        http_world.query(f"SELECT writer_id FROM {http_world.table} GROUP BY writer_id")
    )


def test_forks_in_the_middle_of_other_threads_audits_are_whole(http_world: World) -> None:
    """A child must not inherit a lock that another thread of its parent held at that moment."""
    acknowledged = http_world.run(
        """
        def work(start):
            for number in range(start, start + 2000): audit(number)
        threads = [threading.Thread(target=work, args=(t * 10000,)) for t in range(3)]
        for thread in threads: thread.start()
        children = []
        for child_number in range(10):
            child = os.fork()
            if child == 0:
                for number in range(20): audit(100000 + child_number * 100 + number)
                os._exit(0)
            children.append(child)
        for thread in threads: thread.join()
        for child in children: os.waitpid(child, 0)
        """
    )
    http_world.finish()

    assert 6_200 == len(acknowledged)
    http_world.assert_whole(acknowledged)


def test_a_child_forked_while_the_driver_is_being_imported_delivers_by_itself(
    http_world: World,
) -> None:
    """
    The parent's listener imports it at the first audit. A child that inherited the import's lock
    would wait for a thread that it does not have.
    """
    acknowledged = http_world.run(
        """
        audit(0)
        for number in range(1, 6):
            if (child := os.fork()) == 0:
                audit(number)
                os._exit(0 if handler.close(30) else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        """
    )

    assert list(range(6)) == sorted(acknowledged)
    http_world.assert_whole(acknowledged)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing_is_whole(http_world: World, tmp_path: Path, method: str) -> None:
    module = tmp_path / "workers.py"
    module.write_text(
        PRELUDE + "\ndef work(start):\n    for n in range(start, start + 100): audit(n)\n"
    )
    acknowledged = http_world.run(
        f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        import multiprocessing, workers
        context = multiprocessing.get_context({method!r})
        processes = [context.Process(target=workers.work, args=(n * 1000,)) for n in range(1, 4)]
        for process in processes: process.start()
        for process in processes: process.join()
        workers.audit(1)
        """,
        prelude="",
    )
    http_world.finish()

    assert 301 == len(acknowledged)
    http_world.assert_whole(acknowledged)


def test_a_handler_whose_module_was_reloaded_is_known_at_forks_and_at_the_end(
    http_world: World,
) -> None:
    acknowledged = http_world.run(
        """
        import importlib, audit_handler.handler
        for number in range(100): audit(number)
        importlib.reload(audit_handler.handler)
        for number in range(100, 200): audit(number)
        child = os.fork()
        if child == 0:
            for number in range(200, 300): audit(number)
            os._exit(0)
        for number in range(300, 400): audit(number)
        assert os.waitpid(child, 0)[1] == 0
        """
    )
    (parents,) = http_world.query(
        "SELECT countIf(toUInt32(resource_id) NOT BETWEEN 200 AND 299) AS n "
        f"FROM {http_world.table}"
    )
    http_world.finish()

    assert 400 == len(acknowledged)
    assert 300 == parents["n"]  # delivered as it ended, not by the next process
    http_world.assert_whole(acknowledged)


def test_two_programs_share_a_spool_and_deliver_for_each_others_dead(http_world: World) -> None:
    first = http_world.start(
        """
        for n in range(1000): audit(n)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    second = http_world.start(
        """
        for n in range(2000, 3000): audit(n)
        # SIGALRM ends it if the rows never come.
        signal.alarm(60)
        while handler.status().rows_adopted == 0: handler.flush()
        """
    )
    printed = output_of(first)[0] + output_of(second)[0]
    http_world.finish()

    assert second.returncode == 0
    http_world.assert_whole(
        [int(line) for line in printed.splitlines()],
        row="two applications on one spool directory",
    )


def test_applications_with_two_targets_never_mix(
    tmp_path: Path, database: str, loopback: LoopbackClickHouse
) -> None:
    """The first is killed while its ClickHouse is away; the second one's rows go elsewhere."""
    away = World(tmp_path, "http://127.0.0.1:1", database, loopback)
    here = World(tmp_path, loopback.dsn(database), database, loopback)
    acknowledged = away.run("for n in range(10): audit(n)\nos._exit(0)")
    others = here.run("for n in range(100, 110): audit(n)")
    here.finish()
    stored = here.query(f"SELECT toUInt32(resource_id) AS n FROM {here.table} ORDER BY n")

    assert 10 == len(acknowledged)
    assert others == [row["n"] for row in stored]
    assert 10 == sum(p.read_bytes().count(b"\n") for p in (tmp_path / "spool").rglob("*.open"))


def test_the_driver_and_the_engine_are_loaded_by_the_listener_alone(http_world: World) -> None:
    http_world.run(
        """
        assert "clickhouse_connect" not in sys.modules and "chdb" not in sys.modules
        assert not [t for t in threading.enumerate() if t.name.startswith("audit")]
        """
    )


class Closing:
    """What a handler has left to deliver; it takes all the time that it gets."""

    def __init__(self, shutdown_timeout: float, clock: SteppingClock) -> None:
        self.shutdown_timeout = shutdown_timeout
        self._clock = clock
        self.given: float | None = None

    def close(self, timeout: float) -> bool:
        self.given = timeout
        self._clock.now += timeout
        return False


def test_the_end_takes_as_long_as_the_longest_shutdown_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each took its own, one after the other; and ten seconds if dictConfig had closed it."""
    clock, calls = SteppingClock(), []
    began = clock.now
    closing = [Closing(timeout, clock) for timeout in (1.0, 3.0, 1.0)]
    monkeypatch.setattr(registry, "SystemClock", lambda: clock)
    monkeypatch.setattr(registry, "_all", weakref.WeakSet())
    monkeypatch.setattr(registry, "_closing", weakref.WeakSet(closing))
    monkeypatch.setattr(registry, "_last", [lambda: calls.append("end")])
    monkeypatch.setattr(registry, "_is_exiting", False)
    registry.close_all()

    assert began + 3.0 == clock.now
    assert None not in [each.given for each in closing]
    assert ["end"] == calls


def test_all_handlers_deliver_at_the_same_time_when_the_process_ends(http_world: World) -> None:
    """A handler whose ClickHouse was away used up the time of those that came after it."""
    acknowledged = http_world.run(
        """
        from audit_handler.clickhouse import ClickHouse
        both, real = threading.Barrier(2), ClickHouse.insert
        def meets(*arguments, **options):
            both.wait(30)
            return real(*arguments, **options)
        ClickHouse.insert = meets
        log.removeHandler(handler)
        for _ in range(2):
            log.addHandler(
                AuditHandler(create_table=True, flush_interval_ms=600_000, shutdown_timeout=60)
            )
        audit(0)
        """
    )
    (row,) = http_world.query(f"SELECT count() AS rows FROM {http_world.table}")

    assert [0] == acknowledged
    assert {"rows": 2} == row
