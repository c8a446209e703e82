"""C appends a row as the spool does, or leaves it to the spool: none is lost, doubled or torn."""

from __future__ import annotations

import gc
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import opentelemetry.context
import opentelemetry.trace  # without it there is no span to ask for
import pytest

from audit_handler import AuditHandler
from audit_handler._native import call_of
from audit_handler.spool import DiskFiles, HeldWrite, Spool, held_write_of
from tests.support.native import call_in, needs_extension
from tests.support.native_records import drawn
from tests.support.records import encoder_with, record_of
from tests.support.spools import make_spool, take_all

pytestmark = needs_extension

EXTRA = {"action": "COUNT", "resource_type": "number"}


class Rows:
    """A spool, and the C that appends to it."""

    def __init__(self, directory: Path, **options: Any) -> None:
        directory.mkdir()
        held_write = held_write_of(directory)
        if held_write is None:
            pytest.skip("no write may hold the interpreter lock here")
        self.held_write: HeldWrite = held_write
        self.fields: dict[str, Any] = {}
        self.spool: Spool = make_spool(
            directory, files=DiskFiles(held_write), **{"batch_size": 1000, **options}
        )
        self.encoder = encoder_with(context=lambda: self.fields)
        self.listener = SimpleNamespace(state="running")
        self.call = call_of(
            self.encoder,
            self.spool.appending(),
            listener=self.listener,
            new_state="new",
            put_line=lambda line, month, timeout: self.spool.put(line, month, timeout=timeout),
            put_record=lambda record, _timeout: self.spool.put(*self.encoder.encode(record)),
        )

    def put(self, number: int, **attributes: Any) -> None:
        self.call.put(record_of(EXTRA, n=number, **attributes), 0.0)

    def lines(self) -> list[dict[str, Any]]:
        """Return all rows, from the files."""
        found: list[dict[str, Any]] = []
        while segment := self.spool.get(0.0):
            found += map(json.loads, self.spool.files.read(segment.path).splitlines())
            self.spool.task_done()
        return found

    def numbers(self) -> list[int]:
        """Return what all rows have in common: the numbers, in order of a *seq* without gaps."""
        self.spool.wake(closing=True)
        rows = self.lines()
        assert list(range(1, len(rows) + 1)) == [row["seq"] for row in rows]
        return [row["n"] for row in rows]


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    return Rows(tmp_path / "spool")


def test_the_first_row_goes_to_the_spool_and_the_next_ones_are_appended(rows: Rows) -> None:
    for number in range(1, 11):
        rows.put(number)

    assert 9 == rows.call.taken
    assert list(range(1, 11)) == rows.numbers()


def test_a_row_that_c_appends_is_the_row_of_the_spool(rows: Rows) -> None:
    rows.put(1, zone="eu")
    rows.put(2, zone="eu")
    rows.spool.wake(closing=True)
    other = ("n", "seq", "event_id", "metadata")
    first, second = (
        {name: value for name, value in row.items() if name not in other} for row in rows.lines()
    )

    assert first == second


def test_rows_of_c_and_of_python_are_numbered_in_one_order(rows: Rows) -> None:
    for number in range(1, 101):
        if number % 3:
            rows.put(number)
        else:
            rows.spool.put(*rows.encoder.encode(record_of(EXTRA, n=number)))

    assert list(range(1, 101)) == rows.numbers()
    assert rows.call.taken > 30


def test_the_last_row_of_a_segment_seals_it(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "spool", batch_size=4)
    for number in range(1, 18):
        rows.put(number)

    assert 4 == len(list(tmp_path.rglob("*.ready")))
    assert list(range(1, 18)) == rows.numbers()


def test_a_segment_never_exceeds_its_bytes(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "spool", batch_bytes=2_000)
    for number in range(1, 41):
        rows.put(number, zone="z" * (number * 37 % 300))

    sizes = [path.stat().st_size for path in tmp_path.rglob("*.ready")]
    assert len(sizes) > 3
    assert max(sizes) <= 2_000
    assert list(range(1, 41)) == rows.numbers()


def test_a_full_spool_refuses_a_row_and_leaves_no_gap(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "spool", max_bytes=3_000)
    accepted = []
    for number in range(1, 41):
        try:
            rows.put(number)
        except Exception:
            assert rows.spool.waiting_bytes + 400 > 3_000
        else:
            accepted.append(number)

    assert 3 < len(accepted) < 40
    assert rows.spool.waiting_bytes <= 3_000
    assert accepted == rows.numbers()


def test_a_row_of_another_month_is_counted_by_the_spool(rows: Rows) -> None:
    created = record_of().created
    for number in range(1, 9):
        rows.put(number, created=created - 40 * 86_400 * (number % 2))

    assert list(range(1, 9)) == rows.numbers()


@pytest.mark.parametrize(
    "break_it",
    [
        lambda rows: setattr(rows.spool._reentry, "_is_busy", True),
        lambda rows: setattr(rows.spool._intake, "_has_disk_failed", True),
        lambda rows: setattr(rows.spool._intake, "is_closed", True),
        lambda rows: rows.spool._reentry._deferred.append((b'{"n":0}', "2026-11")),
        lambda rows: setattr(rows.listener, "state", "new"),
        lambda rows: setattr(rows.spool._intake.writer._open, "pending", 1),
        lambda rows: setattr(rows.spool._intake.writer._open, "handle", -1),
        lambda rows: rows.held_write._note_slow_disk(rows.held_write._now()),
        lambda rows: setattr(rows.spool._intake, "writer", None),
        lambda rows: setattr(rows.spool._intake.writer, "_open", None),
    ],
    ids=[
        *("busy", "failed", "closed", "deferred", "no thread", "interrupted", "abandoned"),
        *("slow disk", "no writer", "no segment"),
    ],
)
def test_a_spool_that_is_not_ready_gets_the_row_itself(
    rows: Rows, break_it: Callable[[Rows], object]
) -> None:
    rows.put(1)
    rows.put(2)
    assert 1 == rows.call.taken
    put: list[bytes] = []
    call = call_of(
        rows.encoder,
        rows.spool.appending(),
        listener=rows.listener,
        new_state="new",
        put_line=lambda line, *_: put.append(line),
        put_record=lambda *_: None,
    )
    break_it(rows)

    call.put(record_of(EXTRA, n=3), 0.0)

    assert 0 == call.taken
    assert [3] == [json.loads(line)["n"] for line in put]


def test_a_write_that_fails_leaves_the_row_to_the_spool(rows: Rows, tmp_path: Path) -> None:
    rows.put(1)
    rows.put(2)
    opened = rows.spool._intake.writer._open  # type: ignore[union-attr]
    assert opened is not None
    handle, opened.handle = opened.handle, os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(Exception, match="cannot be written"):
            rows.put(3)
    finally:
        os.close(opened.handle)
        opened.handle = handle
    rows.put(4)

    assert [1, 2, 4] == rows.numbers()


PARTIAL = """
import resource, signal, sys
from pathlib import Path
from tests._native.test_put import Rows

rows = Rows(Path(sys.argv[1]))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
accepted = []
for limit in (400, 900, 1_000, 1_100, 5_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    for number in range(len(accepted) + 1, len(accepted) + 8):
        try:
            rows.put(number)
        except Exception:
            break
        accepted.append(number)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
assert accepted == rows.numbers(), accepted
assert rows.call.taken > 3, rows.call.taken
print(len(accepted))
"""


def test_a_row_of_which_a_part_was_written_is_cut_off(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARTIAL, str(tmp_path / "spool")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)

    assert (0, "") == (done.returncode, done.stderr)
    assert int(done.stdout) > 5


# Other threads, signals, finalizers and forks


def test_threads_append_each_row_once(rows: Rows) -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)

    def work(first: int) -> None:
        for number in range(first, first + 200):
            rows.put(number, uuid=uuid.UUID(int=number))

    threads = [threading.Thread(target=work, args=(n * 1000,)) for n in range(6)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60.0)
    finally:
        sys.setswitchinterval(interval)

    expected = [number for n in range(6) for number in range(n * 1000, n * 1000 + 200)]
    assert expected == sorted(rows.numbers())


def test_a_dict_that_another_thread_changes_is_encoded_at_one_moment(rows: Rows) -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    body: dict[str, Any] = {}
    is_over = threading.Event()

    def change() -> None:
        number = 0
        while not is_over.is_set():
            number += 1
            body[f"k{number % 50}"] = {"text": f"{number}", "password": f"correct-horse-{number}"}
            if number % 70 == 0:
                body.clear()

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for number in range(1, 2001):
            rows.put(number, request_body=body, zone=f"z{number}")
    finally:
        is_over.set()
        thread.join(60.0)
        sys.setswitchinterval(interval)

    assert list(range(1, 2001)) == rows.numbers()


def test_a_signal_handler_that_logs_on_top_of_c_is_stored(rows: Rows) -> None:
    logged: list[int] = []

    def log(_number: int, _frame: FrameType | None) -> None:
        logged.append(-len(logged) - 1)
        rows.put(logged[-1])

    before = signal.signal(signal.SIGALRM, log)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        for number in range(3000):
            rows.put(number, resource_id=uuid.UUID(int=number))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert logged
    assert sorted([*logged, *range(3000)]) == sorted(rows.numbers())


def test_what_a_signal_handler_raises_in_c_ends_the_call(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows.put(1)

    def interrupted() -> None:
        signal.raise_signal(signal.SIGUSR1)

    def raises(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError("the time limit of a job")

    before = signal.signal(signal.SIGUSR1, raises)
    monkeypatch.setattr(opentelemetry.context, "get_current", interrupted)
    try:
        with pytest.raises(TimeoutError, match="the time limit of a job"):
            rows.put(2)
    finally:
        signal.signal(signal.SIGUSR1, before)
    monkeypatch.undo()
    rows.put(3)

    assert [1, 3] == rows.numbers()


def test_a_finalizer_that_logs_on_top_of_c_is_stored(rows: Rows) -> None:
    class Logs:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            rows.put(0)

    threshold = gc.get_threshold()
    gc.set_threshold(5, 2, 2)
    try:
        for number in range(1, 500):
            Logs()
            rows.put(number)
        gc.collect()
    finally:
        gc.set_threshold(*threshold)

    numbers = rows.numbers()
    assert list(range(1, 500)) == [number for number in numbers if number]
    assert 499 == numbers.count(0)


def test_a_finalizer_that_logs_between_the_number_and_the_write_takes_that_number(
    rows: Rows,
) -> None:
    """
    The next row had the same number. Python up to 3.11 collects garbage where C makes a pair, if
    none is left over from before.
    """
    ready = [record_of(EXTRA, n=number) for number in range(-600, 300)]

    class Logs:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            rows.call.put(ready[next(finalized)], 0.0)

    finalized, pairs = iter(range(600)), []
    rows.put(1000)
    threshold = gc.get_threshold()
    gc.collect()
    gc.disable()
    try:
        for number in range(300):
            Logs()
            pairs.append([(number, other) for other in range(2100)])
            gc.set_threshold(gc.get_count()[0] + number % 3, 1000, 1000)
            gc.enable()
            rows.call.put(ready[600 + number], 0.0)
            gc.disable()
            if number % 50 == 0:
                pairs.clear()
    finally:
        gc.set_threshold(*threshold)
        gc.enable()
        gc.collect()

    assert [*range(-600, -300), *range(300), 1000] == sorted(rows.numbers())


def test_a_forked_child_does_not_append_to_the_file_of_its_parent(
    tmp_path: Path, make_handler: Callable[..., AuditHandler]
) -> None:
    handler = make_handler("http://127.0.0.1:1", flush_interval_ms=3_600_000)
    for number in range(3):
        handler.handle(record_of(EXTRA, n=number))
    assert call_in(handler).taken
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            for number in range(10, 13):
                handler.handle(record_of(EXTRA, n=number))
            os.write(writing, b"%d" % handler.status().rows_emitted)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)

    handler.handle(record_of(EXTRA, n=3))

    assert b"3" == os.read(reading, 10)
    written = {
        tuple(json.loads(line)["n"] for line in path.read_bytes().splitlines())
        for path in (tmp_path / "spool").rglob("*.open")
    }
    assert {(0, 1, 2, 3), (10, 11, 12)} == written
    os.close(reading)
    os.close(writing)


# Nothing is left behind


def sizes() -> tuple[int, int]:
    gc.collect()
    return sys.getallocatedblocks(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.parametrize("kind", ["ordinary", "any"])
def test_no_reference_is_left(rows: Rows, kind: str) -> None:
    """Also where a record is handed back, wherever in it that is decided."""

    def run() -> None:
        for seed in range(400):
            record, rows.fields = drawn(seed)
            if kind == "ordinary":
                record, rows.fields = record_of(EXTRA, n=seed, body={"a": [seed]}), {}
            rows.call.encode(record)

    counted = []
    for _ in range(6):
        run()
        counted.append(sizes()[0])

    # A reference that each record leaves would be 400 blocks in each turn.
    assert counted[-1] - counted[2] < 200


def test_the_objects_of_a_pipeline_do_not_keep_each_other_alive(tmp_path: Path) -> None:
    def count() -> int:
        gc.collect()
        return sum(1 for each in gc.get_objects() if type(each).__name__ == "Call")

    before = count()
    for number in range(3):
        rows = Rows(tmp_path / str(number))
        rows.put(1)
        rows.put(2)
        rows.listener.itself = rows.call
        assert [1, 2] == [row["n"] for row in taken(rows)]
        del rows

    assert before == count()


def taken(rows: Rows) -> Iterator[dict[str, Any]]:
    rows.spool.wake(closing=True)
    yield from rows.lines()
    rows.spool.close()


# Wrong arguments


@pytest.mark.parametrize("arguments", [(), (1,), (1, 2, 3)])
def test_a_wrong_number_of_arguments_is_refused(rows: Rows, arguments: tuple[int, ...]) -> None:
    with pytest.raises(TypeError):
        rows.call.put(*arguments)


def test_what_is_no_record_is_handed_back(rows: Rows) -> None:
    handed_back: list[Any] = []
    call = call_of(
        rows.encoder, None, put_record=lambda record, timeout: handed_back.append((record, timeout))
    )
    for record in (None, "text", object, logging.LogRecord):
        call.put(record, 1.0)
        assert call.encode(record) is None

    assert [(None, 1.0), ("text", 1.0), (object, 1.0), (logging.LogRecord, 1.0)] == handed_back
    assert take_all(rows.spool) == []


def test_a_call_names_the_argument_that_is_missing(rows: Rows) -> None:
    with pytest.raises(TypeError, match="Call\\(\\) needs the argument record_type"):
        type(rows.call)(attributes=())
    with pytest.raises(TypeError, match="takes arguments by name"):
        type(rows.call)()
