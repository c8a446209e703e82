"""
`install_signal_handlers`: what waits is delivered before a signal ends the process, and the signal
then does what it did before.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit_handler import ConfigurationError, install_signal_handlers
from tests.support.loopback import LoopbackClickHouse
from tests.support.programs import PRELUDE, World, output_of

# Rows wait an hour for company: what is stored when the program has ended was delivered as it did.
EAGER = PRELUDE + "from audit_handler import install_signal_handlers\n"
LAZY = EAGER.replace("flush_interval_ms=10", "flush_interval_ms=3_600_000")
INSTALL = "install_signal_handlers()\n"
AUDIT_AND_KILL = """
for number in range(100): audit(number)
os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.fixture
def world(tmp_path: Path, database: str, faults: LoopbackClickHouse) -> World:
    return World(tmp_path, faults.dsn(database), database, faults)


@pytest.fixture
def usr1() -> Iterator[None]:
    """SIGUSR1 of this process, to be put back."""
    before = signal.getsignal(signal.SIGUSR1)
    yield
    signal.signal(signal.SIGUSR1, before)


def stored(world: World) -> int:
    """Return how many rows are stored now, before any other process has run."""
    if not world.query(f"EXISTS TABLE {world.table}")[0]["result"]:
        return 0
    (row,) = world.query(f"SELECT count() AS n FROM {world.table}")
    return int(row["n"])


WAITS = {
    "pauses": "wait_for_signals()",
    "sleeps": "import time; time.sleep(3600)",
    "waits for a thread": "threading.Event().wait()",
    "reads": "os.read(os.pipe()[0], 1)",
    "runs": "while True: pass",
}


@pytest.mark.parametrize("wait", WAITS)
def test_by_default_the_process_ends_by_the_signal_once_all_is_delivered(
    world: World, wait: str
) -> None:
    acknowledged = world.run(INSTALL + AUDIT_AND_KILL + WAITS[wait], -signal.SIGTERM, LAZY)

    assert 100 == len(acknowledged) == stored(world)
    world.finish()
    world.assert_whole(acknowledged)


def test_without_it_the_rows_wait_for_the_next_start(world: World) -> None:
    acknowledged = world.run(AUDIT_AND_KILL + "wait_for_signals()", -signal.SIGTERM, LAZY)

    assert (100, 0) == (len(acknowledged), stored(world))
    world.finish()
    world.assert_whole(acknowledged)


@pytest.mark.once
def test_on_chdb_too(tmp_path: Path, database: str) -> None:
    world = World(tmp_path, f"chdb://{tmp_path}/db", database, None)
    acknowledged = world.run(INSTALL + AUDIT_AND_KILL + "wait_for_signals()", -signal.SIGTERM, LAZY)

    assert 100 == len(acknowledged) == stored(world)


def test_a_handler_that_was_installed_before_is_called_when_all_is_delivered(world: World) -> None:
    """It may end the process without any exit hook; it gets what a handler gets."""
    acknowledged = world.run(
        """
def before(number, frame):
    assert number == signal.SIGTERM and frame.f_code.co_name == "wait_for_signals"
    assert threading.current_thread() is threading.main_thread()
    os._exit(handler.status().rows_stored)
signal.signal(signal.SIGTERM, before)
install_signal_handlers()
"""
        + AUDIT_AND_KILL
        + "wait_for_signals()",
        100,
        LAZY,
    )

    assert 100 == stored(world)
    world.finish()
    world.assert_whole(acknowledged)


def test_a_program_that_outlives_the_signal_delivers_again_at_the_next(world: World) -> None:
    acknowledged = world.run(
        """
        seen = []
        came = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: seen.append(handler.status().rows_stored))
        install_signal_handlers()
        install_signal_handlers()
        for turn in range(1, 6):
            for number in range(turn * 100, turn * 100 + 100): audit(number)
            os.kill(os.getpid(), signal.SIGTERM)
            while len(seen) < turn: came.wait(0.001)
        assert seen == [100, 200, 300, 400, 500], seen
        """,
        prelude=LAZY,
    )

    assert 500 == stored(world)
    world.assert_whole(acknowledged)


def test_an_ignored_signal_stays_ignored(world: World) -> None:
    acknowledged = world.run(
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\ninstall_signal_handlers()\n"
        + AUDIT_AND_KILL
        + "assert handler.status().rows_stored == 0",
        prelude=LAZY,
    )

    world.assert_whole(acknowledged)


def test_code_that_holds_the_spools_lock_is_interrupted(world: World) -> None:
    """The delivery needs that lock, and the interrupted code alone can give it back."""
    acknowledged = world.run(
        INSTALL
        + """
for number in range(50): audit(number)
lock = handler._pipelines.open.spool.lock
with lock:
    os.kill(os.getpid(), signal.SIGTERM)
    for number in range(50, 100): audit(number)
wait_for_signals()
""",
        -signal.SIGTERM,
        LAZY,
    )

    assert 100 == stored(world)
    world.finish()
    world.assert_whole(acknowledged)


def test_logger_calls_are_interrupted_at_any_instruction(world: World) -> None:
    """Dozens of signals, each answered, while the main thread logs."""
    acknowledged = world.run(
        """
        answers = []
        signal.signal(signal.SIGTERM, lambda *_: answers.append(number))
        install_signal_handlers()
        is_next = threading.Event()
        def disturb():
            for _ in range(25):
                is_next.wait()
                is_next.clear()
                os.kill(os.getpid(), signal.SIGTERM)
        threading.Thread(target=disturb).start()
        number = 0
        for turn in range(1, 26):
            is_next.set()
            for number in range(number + 1, number + 300): audit(number)
            # In steps: a signal that comes just before the main thread waits does not wake it.
            while len(answers) < turn: time.sleep(0.001)
        assert len(answers) == 25
        """,
        prelude=EAGER,
    )

    world.assert_whole(acknowledged)


def test_rows_that_cannot_be_delivered_do_not_hold_up_the_end(
    world: World, faults: LoopbackClickHouse
) -> None:
    faults.fault("http_status", status=503, times=-1)
    process = world.start(
        INSTALL + AUDIT_AND_KILL + "wait_for_signals()",
        LAZY.replace("shutdown_timeout=60", "shutdown_timeout=0.3"),
    )
    printed, complaints = output_of(process)
    faults.clear_faults()

    assert (-signal.SIGTERM, 100) == (process.returncode, len(printed.split()))
    assert b"Signal 15: not all audit rows are stored" in complaints
    world.finish()
    world.assert_whole(list(range(100)))


def test_a_second_signal_does_not_wait(world: World, faults: LoopbackClickHouse) -> None:
    """The delivery would wait for an hour."""
    insert = f"INSERT INTO `{world.database}`"
    faults.fault("hang", match=insert)
    process = world.start(
        INSTALL + AUDIT_AND_KILL + "wait_for_signals()",
        LAZY.replace("shutdown_timeout=60", "shutdown_timeout=3600"),
    )
    faults.wait_for_request(insert, phase="received")
    process.terminate()
    printed, complaints = output_of(process)
    faults.clear_faults()

    assert (-signal.SIGTERM, b"") == (process.returncode, complaints)
    assert 100 == len(printed.split())
    world.finish()
    world.assert_whole(list(range(100)))


def test_children_have_a_delivery_of_their_own(world: World) -> None:
    """Also one that was forked while its parent delivers."""
    acknowledged = world.run(
        """
        install_signal_handlers()
        for number in range(100): audit(number)
        ready, is_ready = os.pipe()
        with handler._pipelines.open.spool.lock:  # so the parent's delivery goes on until we let it
            os.kill(os.getpid(), signal.SIGTERM)
            child = os.fork()
            if child == 0:
                for number in range(1000, 1100): audit(number)
                os.write(is_ready, b"!")
                wait_for_signals()
            os.read(ready, 1)
            os.kill(child, signal.SIGTERM)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            os.write(1, b"%d\\n" % status)
        wait_for_signals()
        """,
        -signal.SIGTERM,
        LAZY,
    )
    acknowledged.remove(-signal.SIGTERM)

    assert 200 == len(acknowledged) == stored(world)
    world.finish()
    world.assert_whole(acknowledged)


def test_a_program_that_ends_by_itself_meanwhile_still_ends_by_the_signal(world: World) -> None:
    acknowledged = world.run(INSTALL + AUDIT_AND_KILL, -signal.SIGTERM, LAZY)

    assert 100 == len(acknowledged) == stored(world)
    world.finish()
    world.assert_whole(acknowledged)


def test_uvicorn_ends_by_the_signal_once_all_is_delivered(world: World) -> None:
    """It puts our handler back when it has stopped, and raises the signal again."""
    process = world.start(
        INSTALL
        + """
import uvicorn

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        for number in range(50): audit(number)
        await send({"type": "lifespan.startup.complete"})
        os.kill(os.getpid(), signal.SIGTERM)
        await receive()
        for number in range(50, 100): audit(number)
        await send({"type": "lifespan.shutdown.complete"})

uvicorn.run(app, port=0, log_level="error")
""",
        LAZY,
    )
    printed, complaints = output_of(process)

    assert -signal.SIGTERM == process.returncode, complaints.decode()
    assert 100 == len(printed.split()) == stored(world)
    world.finish()
    world.assert_whole([int(line) for line in printed.split()])


@pytest.mark.parametrize("name", ["SIGHUP", "SIGRTMAX-1"])
def test_other_signals_when_told(world: World, name: str) -> None:
    """Also one that has no name in Python."""
    if name.startswith("SIGRT") and not hasattr(signal, "SIGRTMAX"):
        pytest.skip("no real-time signals on this system")
    number = signal.SIGHUP if name == "SIGHUP" else signal.SIGRTMAX - 1
    acknowledged = world.run(
        f"install_signal_handlers([{number:d}])\n"
        + AUDIT_AND_KILL.replace("signal.SIGTERM", f"{number:d}")
        + "wait_for_signals()",
        -number,
        LAZY,
    )

    assert 100 == len(acknowledged) == stored(world)


def test_on_another_thread_it_says_where_it_belongs() -> None:
    errors: list[Exception] = []

    def install() -> None:
        try:
            install_signal_handlers()
        except ConfigurationError as exc:
            errors.append(exc)

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=install, name="worker-7")
    thread.start()
    thread.join()

    assert "worker-7" in str(errors[0])
    assert before == signal.getsignal(signal.SIGTERM)


def test_a_signal_that_cannot_be_handled_is_named() -> None:
    with pytest.raises(ConfigurationError, match="SIGKILL"):
        install_signal_handlers([signal.SIGKILL])


@pytest.mark.usefixtures("usr1")
def test_a_second_call_changes_nothing() -> None:
    install_signal_handlers([signal.SIGUSR1])
    first = signal.getsignal(signal.SIGUSR1)
    install_signal_handlers([signal.SIGUSR1])

    assert first is signal.getsignal(signal.SIGUSR1)
