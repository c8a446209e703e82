"""
Compare C with Python for random records, for a time: ``make fuzz``.

The extension is compiled once more, with the sanitizers for addresses and undefined behaviour, so
that a read beyond its bounds ends the run. Each record is encoded by both, and put into a spool by
threads, signal handlers and finalizers at the same time; at the end each row must be in the spool
once. ``--seed`` repeats a run.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
EXTENSION = "audit_handler._native._call"
LIBRARY = "AUDIT_TEST_LIBRARY"
_MOST_ROWS = 30_000
_SANITIZERS = (
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
)


def sanitized(directory: Path) -> tuple[Path, str]:
    """
    Compile the extension with sanitizers; return its file, and the library to load before it.

    Raises:
        RuntimeError: There is no such compiler.
    """
    source = ROOT / "src/audit_handler/_native/_call.c"
    library = directory / "_call.abi3.so"
    include = subprocess.run(
        [sys.executable, "-c", "import sysconfig; print(sysconfig.get_path('include'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    command = ["gcc", "-std=c11", "-O1", "-g", "-shared", "-fPIC", *_SANITIZERS]
    command += [f"-I{include}", str(source), "-o", str(library)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        asan = subprocess.run(
            ["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=False
        ).stdout.strip()
    except FileNotFoundError:
        raise RuntimeError("gcc is not installed") from None
    if done.returncode or not Path(asan).is_absolute():
        raise RuntimeError(f"gcc has no sanitizers here: {done.stderr[-300:]}")
    return library, asan


def run_sanitized(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run this module with the sanitized extension. Raises RuntimeError as `sanitized` does."""
    library, asan = sanitized(directory)
    environment = {
        **os.environ,
        LIBRARY: str(library),
        "LD_PRELOAD": asan,
        # Each object has its own memory, so that the sanitizer sees where it ends.
        "PYTHONMALLOC": "malloc",
        # The interpreter itself leaves memory to the end of the process.
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "AUDIT_HANDLER_PURE": "0",
    }
    command = [sys.executable, "-m", "tests._native.fuzz", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def load(library: str) -> None:
    """Load *library* in place of the installed extension."""
    specification = importlib.util.spec_from_file_location(EXTENSION, library)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[EXTENSION] = module
    specification.loader.exec_module(module)


class Fuzz:
    """One run, with a seed."""

    def __init__(self, seed: int) -> None:
        # After `load`.
        from audit_handler._record.redaction import Redactor
        from tests.support.native_records import drawn
        from tests.support.records import encoder_with

        self._drawn = drawn
        self._seed = seed
        self._random = Random(seed)
        self._bound: Any = {}
        self._encoders = [
            encoder_with(context=lambda: self._bound, **options)
            for options in (
                {},
                {"service_name": "billing", "max_value_bytes": 500},
                {"redactor": Redactor(["zone"], patterns=[r"hunter\d", r"[A-Z]{3,9}\d"])},
            )
        ]
        self.counts = {"compared": 0, "handed back": 0, "rows": 0, "rows of C": 0}

    def compare(self, seconds: float) -> None:
        """Encode random records in both ways."""
        from audit_handler._native import call_of
        from tests.support.native import as_it_is

        calls = [(encoder, call_of(encoder, None)) for encoder in self._encoders]
        assert all(call for _, call in calls), "the extension is not in use"
        end = time.monotonic() + seconds
        seed = self._seed * 1_000_000
        while time.monotonic() < end:
            seed += 1
            record, self._bound = self._drawn(seed)
            for encoder, call in calls:
                expected, made = encoder.encode(record), call.encode(record)
                if made is None:
                    self.counts["handed back"] += 1
                    continue
                self.counts["compared"] += 1
                if as_it_is(expected) != as_it_is(made):
                    raise AssertionError(f"record {seed}:\n{expected!r}\n{made!r}")

    def put(self, seconds: float, directory: Path) -> None:
        """Put rows from threads, from signal handlers and from finalizers."""
        from tests._native.test_put import Rows

        rows = Rows(directory, batch_size=self._random.randrange(10, 200), max_bytes=10**9)
        put: list[int] = []
        end = time.monotonic() + seconds

        def goes_on() -> bool:
            # Reading them takes longer than writing them.
            return time.monotonic() < end and len(put) < _MOST_ROWS

        def one(number: int) -> None:
            rows.put(number, zone=f"z{number}", body={"n": [number] * (number % 7)})
            put.append(number)

        def work(first: int) -> None:
            number = first
            while goes_on():
                one(number)
                number += 1

        class Logs:
            def __init__(self, number: int) -> None:
                self.itself, self.number = self, number

            def __del__(self) -> None:
                one(self.number)

        on_signal = iter(range(10**9, 2 * 10**9))

        def interrupted(_number: int, _frame: FrameType | None) -> None:
            one(next(on_signal))
            # Not before: waiting for the lock may take longer than the time between two.
            if goes_on():
                signal.setitimer(signal.ITIMER_REAL, 0.001)

        interval, threshold = sys.getswitchinterval(), gc.get_threshold()
        sys.setswitchinterval(1e-5)
        gc.set_threshold(20, 2, 2)
        before = signal.signal(signal.SIGALRM, interrupted)
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        threads = [threading.Thread(target=work, args=(n * 10**7,)) for n in range(1, 4)]
        try:
            for thread in threads:
                thread.start()
            # They may pile up while one of them waits, inside a collection.
            for number in range(5 * 10**8, 5 * 10**8 + _MOST_ROWS):
                if not goes_on():
                    break
                Logs(number)
            for thread in threads:
                thread.join()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            sys.setswitchinterval(interval)
            gc.set_threshold(*threshold)
            gc.collect()
        found = rows.numbers()
        assert sorted(put) == sorted(found), "a row is missing, or there twice"
        self.counts["rows"] += len(found)
        self.counts["rows of C"] += rows.call.taken


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000)
    options = parser.parse_args()
    if LIBRARY not in os.environ:
        with tempfile.TemporaryDirectory() as directory:
            try:
                done = run_sanitized(
                    Path(directory), f"--seconds={options.seconds}", f"--seed={options.seed}"
                )
            except RuntimeError as exc:
                sys.exit(f"Not run: {exc}")
        print(done.stdout, done.stderr, sep="")
        sys.exit(done.returncode)
    load(os.environ[LIBRARY])
    faulthandler.dump_traceback_later(options.seconds * 3 + 30, exit=True)
    fuzz = Fuzz(options.seed)
    with tempfile.TemporaryDirectory() as directory:
        fuzz.compare(options.seconds * 2 / 3)
        fuzz.put(options.seconds / 3, Path(directory) / "spool")
    print(json.dumps({"seed": options.seed, **fuzz.counts}))


if __name__ == "__main__":
    main()
