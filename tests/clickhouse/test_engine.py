"""The end of a process waits for the engine; a forked child leaves the engine alone."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from audit_handler.clickhouse._engine import Engine, EngineClosed
from tests.support.programs import World, output_of


class Client:
    def __init__(self) -> None:
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


def test_the_end_waits_for_the_call_that_runs_and_closes_the_client() -> None:
    engine, client = Engine(), Client()
    is_inside, may_leave = threading.Event(), threading.Event()

    def call() -> None:
        with engine.use():
            engine.opened(client)
            is_inside.set()
            may_leave.wait(60)

    caller, end = threading.Thread(target=call), threading.Thread(target=engine.end)
    caller.start()
    is_inside.wait(60)
    end.start()
    was_closed_early = client.is_closed
    may_leave.set()
    caller.join()
    end.join()

    assert (False, True) == (was_closed_early, client.is_closed)


def test_the_end_closes_a_client_whose_owner_lets_go_of_it_meanwhile() -> None:
    engine, closed = Engine(), threading.Event()
    is_inside, may_leave = threading.Event(), threading.Event()

    class Owned:
        def close(self) -> None:
            closed.set()

    def call() -> None:
        client = Owned()
        with engine.use():
            is_inside.set()
            may_leave.wait(60)
            engine.opened(client)
            del client

    caller, end = threading.Thread(target=call), threading.Thread(target=engine.end)
    caller.start()
    is_inside.wait(60)
    end.start()
    while not engine._has_ended:
        pass
    may_leave.set()
    caller.join()
    end.join()

    assert closed.is_set()


def test_no_call_enters_the_engine_after_the_end() -> None:
    engine = Engine()
    engine.end()

    with pytest.raises(EngineClosed) as caught, engine.use():
        pass

    assert not caught.value.is_ambiguous


@pytest.fixture
def world(tmp_path: Path, database: str) -> World:
    return World(tmp_path, f"chdb://{tmp_path}/db", database, None)


OPTIONS = "handler = AuditHandler(create_table=True, batch_size=1, shutdown_timeout=0)\n"
PROGRAM = (
    """
import logging, os, signal, sys, threading
from audit_handler import AuditHandler
"""
    + OPTIONS
    + """
log = logging.getLogger("shop")
log.addHandler(handler)
log.setLevel("INFO")

def audit(number):
    log.info("n", extra={"action": "COUNT", "resource_type": "number", "resource_id": str(number)})
    os.write(1, b"%d\\n" % number)

def ends_at(module, name):
    # Returns when the listener is about to make the call *name* of *module*.
    reached, real = threading.Event(), getattr(module, name)
    def noted(*args, **kwargs):
        reached.set()
        return real(*args, **kwargs)
    setattr(module, name, noted)
    for number in range(20): audit(number)
    reached.wait(60)
"""
)
# The call that the listener is about to make when the main thread ends.
PHASES = {
    "loading": ("_connect", "load_driver"),
    "connecting": ("_connect", "connect_arguments"),
    "creating the table": ("_client", "statements"),
    "inserting": ("_client", "insert_file"),
}


@pytest.mark.once
@pytest.mark.parametrize("phase", PHASES)
def test_an_end_in_the_middle_of_a_call_is_clean_and_the_rows_wait(
    world: World, phase: str
) -> None:
    """It ended by SIGSEGV, or with a trace of the engine."""
    module, name = PHASES[phase]
    process = world.start(
        f"from audit_handler.clickhouse import {module} as at\nends_at(at, {name!r})", PROGRAM
    )
    printed, complaints = output_of(process)

    assert (0, b"") == (process.returncode, complaints)
    world.finish()
    world.assert_whole([int(line) for line in printed.splitlines()])


@pytest.mark.once
def test_an_end_while_a_client_connects_closes_the_engine(world: World) -> None:
    """
    The driver's own exit hook came first. It could not close the client whose call ran, and nothing
    else could after that: SIGSEGV, "The ShutdownTablesThreadPool is not initialized".
    """
    looks = """
import atexit, os
# Before ours, and called after it. The engine has this file for as long as it is open.
atexit.register(lambda: print(os.path.exists(os.environ["CLICKHOUSE_URL"][7:] + "/status")))
"""
    program = """
        from audit_handler.clickhouse._engine import engine
        from clickhouse_connect.driver._backend.chdb_backend import ChdbBackend

        connects, real = threading.Event(), ChdbBackend._query_locked
        def held(*arguments, **options):
            connects.set()
            while not engine._has_ended: pass
            return real(*arguments, **options)
        ChdbBackend._query_locked = held
        audit(0)
        connects.wait(60)
        """
    process = world.start(program, looks + PROGRAM)
    printed, complaints = output_of(process)

    assert (0, b"") == (process.returncode, complaints)
    assert [b"0", b"False"] == printed.splitlines()
    world.finish()
    world.assert_whole([0])


@pytest.mark.once
def test_an_end_while_the_application_itself_is_inside_the_engine_is_clean(
    world: World, tmp_path: Path
) -> None:
    """Our gate does not know its threads: SIGSEGV, or a trace of the engine."""
    program = f"""
        import chdb
        audit(0)
        assert handler.flush(60)
        connection = chdb.connect("{tmp_path}/db")
        is_inside = threading.Event()
        def query():
            while True:
                connection.query("SELECT sum(number) FROM numbers(30000000)")
                is_inside.set()
        threading.Thread(target=query, daemon=True).start()
        is_inside.wait(60)
        sys.exit(3)
        """
    process = world.start(program, PROGRAM)
    _, complaints = output_of(process)

    assert (3, b"") == (process.returncode, complaints)


@pytest.mark.once
def test_what_python_and_c_have_buffered_is_written(world: World) -> None:
    program = """
        import atexit, ctypes
        audit(0)
        assert handler.flush(60)
        atexit.register(print, "from an exit hook")
        sys.stdout.write("from Python\\n")
        ctypes.CDLL(None).printf(b"from C\\n")
        """
    process = world.start(program, PROGRAM)
    printed, complaints = output_of(process)

    assert (0, b"") == (process.returncode, complaints)
    assert [b"0", b"from C", b"from Python", b"from an exit hook"] == sorted(printed.splitlines())


@pytest.mark.once
def test_the_end_leaves_a_call_that_never_returns_and_says_so(world: World) -> None:
    program = """
        from audit_handler.clickhouse import _client, _engine

        is_inside = threading.Event()
        def hangs(*arguments):
            is_inside.set()
            threading.Event().wait()
        audit(0)
        assert handler.flush(60)
        _client.insert_file = hangs
        audit(1)
        is_inside.wait(60)
        _engine._PATIENCE_SECONDS = 0.1
        sys.exit(3)
        """
    process = world.start(program, PROGRAM)
    printed, complaints = output_of(process)

    assert 3 == process.returncode
    (line,) = complaints.splitlines()
    assert line.startswith(b"chDB does not return from a call after 0.1 seconds")
    world.finish()
    world.assert_whole([int(line) for line in printed.splitlines()])


@pytest.mark.once
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_forked_child_of_a_process_with_the_engine_ends_with_its_own_exit_code(
    world: World,
) -> None:
    """It waited for ever, in the exit hook of the driver."""
    program = """
        audit(0)
        assert handler.flush(60)
        child = os.fork()
        if child == 0:
            sys.exit(3)
        os.write(2, b"%d" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """
    process = world.start(program, PROGRAM)
    _, complaints = output_of(process)

    assert (0, b"3") == (process.returncode, complaints)
