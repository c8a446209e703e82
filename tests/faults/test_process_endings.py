"""
Ways in which processes come into being and end: servers that fork, pools, reloads, programs that
outlive their parents. Each acknowledged row is stored once.

What a single program does at its end is in ``tests/_process/test_registry.py``.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.staging import Judge
from tests.support.programs import PRELUDE, World, output_of
from tests.support.spools import files_in

FORKS = "fork, multiprocessing, gunicorn --preload, Celery prefork"
REOPENED = "closed while it is still attached"
CLOCK = "clock steps, months, leap days, time zones"


def judged(world: World, judge: Judge, row: str, fault: str, acknowledged: list[int]) -> None:
    """Deliver what is left, write some more, and judge."""
    world.finish()
    acknowledged = acknowledged + world.run("for n in range(-100, 0): audit(n)")
    with world.server() as server:
        judge(row, fault, server, world.table, acknowledged)


def test_logging_goes_on_after_logging_shutdown(world: World, judge: Judge) -> None:
    acknowledged = world.run(
        """
        for number in range(100): audit(number)
        logging.shutdown()
        assert handler.status().rows_stored == 100
        for number in range(100, 200): audit(number)
        logging.shutdown()
        for number in range(200, 300): audit(number)
        """
    )

    assert 300 == len(acknowledged)
    judged(world, judge, REOPENED, "logging.shutdown(), twice", acknowledged)


def test_a_later_dict_config_closes_it_while_threads_log(world: World, judge: Judge) -> None:
    """It closes every handler that logging knows, also this one, which stays attached."""
    acknowledged = world.run(
        """
        import logging.config
        def work(start):
            for number in range(start, start + 1000): audit(number)
        threads = [threading.Thread(target=work, args=(n * 1000,)) for n in range(3)]
        for thread in threads: thread.start()
        closed = []
        for number in range(3000, 3500):
            audit(number)
            if number % 100 == 50:
                closed.append(handler._pipelines.open)
                logging._addHandlerRef(handler)  # the configuration before knew it
                logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
        for thread in threads: thread.join()
        assert log.handlers == [handler]
        assert len({*closed, handler._pipelines.open}) == 6
        """
    )

    assert 3_500 == len(acknowledged)
    judged(world, judge, REOPENED, "dictConfig, 5 times, while threads log", acknowledged)


def test_a_forked_child_that_lives_on_does_not_hold_its_dead_parents_rows(
    world: World, judge: Judge
) -> None:
    """The child never logs, so nothing but the fork itself can make it let go of the lock."""
    process = world.start(
        """
        handler.settings  # open, with rows that wait
        for number in range(100): audit(number)
        child = os.fork()
        if child == 0:
            signal.pause()
        os.write(2, b"%d\\n" % child)
        while True:
            number += 1
            audit(number)
        """
    )
    assert process.stdout is not None
    assert process.stderr is not None
    child = int(process.stderr.readline())
    acknowledged = [int(process.stdout.readline()) for _ in range(500)]
    process.kill()
    process.wait()
    os.set_blocking(process.stdout.fileno(), False)  # the child holds the pipe open
    acknowledged += [int(line) for line in (process.stdout.read() or b"").split(b"\n")[:-1]]
    try:
        world.finish()
        os.kill(child, 0)  # alive all the time
        waiting = [path for path in files_in(world.directory / "spool") if path.name[0] == "0"]
        assert [] == waiting
        acknowledged += world.run("for n in range(-100, 0): audit(n)")
        with world.server() as server:
            fault = "the parent killed, its silent child alive"
            judge(FORKS, fault, server, world.table, acknowledged, surplus=1)
    finally:
        os.kill(child, signal.SIGKILL)
        process.stdout.close()
        process.stderr.close()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc on this system")
def test_a_started_program_inherits_nothing_of_the_spool(world: World, judge: Judge) -> None:
    """Not even one that asks for every descriptor, and lives on while its parent is killed."""
    process = world.start(
        """
        import subprocess
        for number in range(100): audit(number)
        listing = (
            "import os, signal; of = '/proc/self/fd/'; names = map(of.__add__, os.listdir(of)); "
            "print([os.readlink(name) for name in names if os.path.lexists(name)], flush=True); "
            "signal.pause()"
        )
        child = subprocess.Popen(
            [sys.executable, "-c", listing], close_fds=False, stdout=subprocess.PIPE
        )
        os.write(2, b"%d\\n" % child.pid + child.stdout.readline())
        number = 1000
        while True:
            audit(number)
            number += 1
        """
    )
    assert process.stdout is not None
    assert process.stderr is not None
    child = int(process.stderr.readline())
    inherited = process.stderr.readline().decode()
    acknowledged = [int(process.stdout.readline()) for _ in range(500)]
    process.kill()
    process.wait()
    os.set_blocking(process.stdout.fileno(), False)
    acknowledged += [int(line) for line in (process.stdout.read() or b"").split(b"\n")[:-1]]
    try:
        assert str(world.directory / "spool") not in inherited
        world.finish()
        os.kill(child, 0)
        acknowledged += world.run("for n in range(-100, 0): audit(n)")
        with world.server() as server:
            fault = "killed, a program it started lives on"
            judge(FORKS, fault, server, world.table, acknowledged, surplus=1)
    finally:
        os.kill(child, signal.SIGKILL)
        process.stdout.close()
        process.stderr.close()


@pytest.mark.parametrize("pool", ["forkserver", "executor"])
def test_pools_of_processes(world: World, judge: Judge, tmp_path: Path, pool: str) -> None:
    (tmp_path / "workers.py").write_text(
        PRELUDE + "\ndef work(start):\n    for n in range(start, start + 50): audit(n)\n"
    )
    make = {
        "forkserver": "multiprocessing.get_context('forkserver').Pool(2)",
        "executor": "concurrent.futures.ProcessPoolExecutor(2)",
    }[pool]
    acknowledged = world.run(
        f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        import concurrent.futures, multiprocessing, workers
        if __name__ == "__main__":
            workers.work(0)
            with {make} as pool:
                list(pool.map(workers.work, range(1000, 7000, 1000)))
            workers.work(100)
        """,
        prelude="",
    )

    assert 400 == len(acknowledged)
    judged(world, judge, FORKS, f"a pool: {pool}", acknowledged)


TIME_ZONES = ["UTC", "Pacific/Kiritimati", "America/St_Johns", "Asia/Kathmandu"]


@pytest.mark.once
@pytest.mark.parametrize("zone", TIME_ZONES)
def test_the_time_zone_of_the_application_changes_nothing(
    world: World, judge: Judge, zone: str
) -> None:
    acknowledged = world.run(
        """
        import time
        for number in range(100): audit(number)
        log.info("n", extra={
            "action": "COUNT", "resource_type": "number", "resource_id": "100",
            "event_time": "2026-06-30T23:30:00-02:30", "agent_id": str(time.tzname),
        })
        os.write(1, b"100\\n")
        """,
        environment={"TZ": zone},
    )
    with world.server() as server:
        (row,) = server.query(
            "SELECT maxIf(abs(dateDiff('second', event_time, ingested_at)), resource_id != '100') "
            "< 600 AS is_now, countIf(event_date != toDate(event_time, 'UTC')) AS wrong, "
            "maxIf(toString(event_time), resource_id = '100') AS given "
            f"FROM {world.table}"
        )

    assert (1, 0, "2026-07-01 02:00:00.000000") == (row["is_now"], row["wrong"], row["given"])
    judged(world, judge, CLOCK, f"TZ={zone}", acknowledged)


def test_an_application_that_starts_again_an_hour_earlier(world: World, judge: Judge) -> None:
    """Its writer id sorts before that of the dead one whose rows it takes over."""
    step = """
        import time
        real, real_ns = time.time, time.time_ns
        time.time = lambda: real() - 3600
        time.time_ns = lambda: real_ns() - 3600 * 10**9
        """
    acknowledged = world.run(
        "for n in range(500): audit(n)\nos.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL
    )
    acknowledged += world.run(step + "for n in range(1000, 1500): audit(n)")
    with world.server() as server:
        (row,) = server.query(
            "SELECT minIf(event_time, resource_id < '1000' OR length(resource_id) < 4) > "
            "maxIf(event_time, toUInt32(resource_id) >= 1000) AS is_earlier "
            f"FROM {world.table}"
        )

    assert 1 == row["is_earlier"]
    judged(world, judge, CLOCK, "restarted an hour earlier", acknowledged)


# Servers


APPLICATION = (
    PRELUDE
    + """
audit(1_000_000)  # while it is loaded: in the master, before any fork

def application(environ, start_response):
    number = int(environ["PATH_INFO"].lstrip("/"))
    log.info("n", extra={"action": "COUNT", "resource_type": "number", "resource_id": str(number)})
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""
)


def _ask(path: Path, number: int) -> int:
    """Ask the server on the socket *path* to audit *number*; return the worker's process id."""
    connection = http.client.HTTPConnection("localhost", timeout=60)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(60)
    connection.sock.connect(str(path))
    connection.request("GET", f"/{number}", headers={"Connection": "close"})
    response = connection.getresponse()
    worker = int(response.read())
    connection.close()
    assert 200 == response.status
    return worker


@pytest.mark.once
@pytest.mark.parametrize("preload", [True, False], ids=["preload", "no preload"])
def test_gunicorn_with_two_workers(
    world: World, judge: Judge, tmp_path: Path, preload: bool
) -> None:
    """One worker is killed between requests, then the master is told to end."""
    pytest.importorskip("gunicorn")
    (tmp_path / "shop.py").write_text(APPLICATION.replace("os.write(1, ", "(lambda _: None)("))
    listening = tmp_path / "socket"
    command = [sys.executable, "-m", "gunicorn", "-w", "2", "-b", f"unix:{listening}"]
    command += ["--chdir", str(tmp_path), "shop:application"] + ["--preload"] * preload
    process = subprocess.Popen(command, env=world.environment, stderr=subprocess.PIPE)
    assert process.stderr is not None
    try:
        while b"Booting worker" not in process.stderr.readline():
            assert process.poll() is None
        numbers = list(range(300))
        workers = {_ask(listening, number) for number in numbers[:200]}
        os.kill(next(iter(workers)), signal.SIGKILL)
        while b"Booting worker" not in process.stderr.readline():
            assert process.poll() is None
        workers |= {_ask(listening, number) for number in numbers[200:]}
        process.send_signal(signal.SIGTERM)
        _, complaints = output_of(process)
    finally:
        process.kill()
        process.communicate()

    assert 0 == process.returncode, complaints.decode()
    assert b"Traceback" not in complaints, complaints.decode()
    world.finish()
    numbers += world.run("for n in range(-100, 0): audit(n)")
    with world.server() as server:
        # Each load of the module audits once: in the master, or in every worker.
        server.command(
            f"ALTER TABLE {world.table} UPDATE resource_type = 'load' "
            "WHERE resource_id = '1000000' SETTINGS mutations_sync = 1"
        )
        (row,) = server.query(
            f"SELECT uniqExact(writer_id) AS writers, countIf(resource_type = 'load') AS loads "
            f"FROM {world.table}"
        )
        assert (1 if preload else 3) == row["loads"]
        assert row["writers"] >= len(workers) + preload + 1
        fault = f"gunicorn{' --preload' * preload}, a worker killed, SIGTERM"
        judge(FORKS, fault, server, world.table, numbers)


TASKS = (
    PRELUDE
    + """
from celery import Celery

app = Celery("tasks", broker="filesystem://")
app.conf.update(
    broker_transport_options={
        "data_folder_in": QUEUE, "data_folder_out": QUEUE, "control_folder": CONTROL,
    },
    task_ignore_result=True, worker_hijack_root_logger=True, task_acks_late=False,
)

@app.task
def work(number):
    log.info("n", extra={"action": "COUNT", "resource_type": "number", "resource_id": str(number)})
    with open(DONE, "ab", buffering=0) as done:
        done.write(b"%d %d\\n" % (number, os.getpid()))
"""
)


@pytest.mark.once
def test_celery_with_two_prefork_workers(world: World, judge: Judge, tmp_path: Path) -> None:
    """The module is loaded in the master, which audits too; the tasks run in its children."""
    pytest.importorskip("celery")
    for name in ("queue", "control"):
        (tmp_path / name).mkdir()
    done = tmp_path / "done"
    os.mkfifo(done)
    constants = "".join(
        f"{name.upper()} = {str(tmp_path / name)!r}\n" for name in ("queue", "control", "done")
    )
    module = constants + TASKS.replace("os.write(1, ", "(lambda _: None)(")
    (tmp_path / "tasks.py").write_text(module + "\nimport sys\nif 'worker' in sys.argv: audit(0)\n")
    sender = "import sys; sys.path.insert(0, '.'); import tasks\n"
    sender += "for number in range(1, 201): tasks.work.delay(number)"
    environment = {**world.environment, "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, "-c", sender], cwd=tmp_path, env=environment, check=True)
    command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "-P", "prefork", "-c", "2"]
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "WARNING"]
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=said, stderr=subprocess.STDOUT
        )
        try:
            # Opened for writing too, so that it does not end whenever no task has it open.
            with os.fdopen(os.open(done, os.O_RDWR), "rb", buffering=0) as fifo:
                lines = [fifo.readline().split() for _ in range(200)]
            process.send_signal(signal.SIGTERM)
            process.wait(100)
        finally:
            process.kill()
            process.wait()
    numbers = [0, *(int(number) for number, _ in lines)]

    assert sorted(numbers) == list(range(201))
    assert str(process.pid).encode() not in {worker for _, worker in lines}
    judged(world, judge, FORKS, "Celery prefork, SIGTERM", numbers)
