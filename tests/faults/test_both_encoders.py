"""
kill -9 in the middle of logger calls, with the extension and without it.

Each application encodes in C from its first row on, by four threads that take turns as often as the
interpreter can, and tells each row that was accepted. Afterwards the files of the spool are read.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from audit_handler._native.ordinary import PURE
from tests.support.native import is_installed

ROOT = Path(__file__).resolve().parents[2]

PRELUDE = """
import logging, os, signal, sys, threading, time
from audit_handler import AuditHandler
from tests.support.native import quick
from tests.support.records import record_of

quick()
sys.setswitchinterval(1e-5)
handler = AuditHandler(
    "http://127.0.0.1:1", spool_dir=sys.argv[1], batch_size=40, flush_interval_ms=20,
    shutdown_timeout=0.1,
)

def put(key, **extra):
    record = record_of({"action": "COUNT", "key": key, **extra}, created=time.time())
    if handler.handle(record):
        os.write(1, key.encode() + b"\\n")
"""

KILLED = (
    PRELUDE
    + """
def work(thread):
    number = 0
    while True:
        number += 1
        put(f"{os.getpid()}-{thread}-{number}", pad="p" * (number % 300))

for thread in range(3):
    threading.Thread(target=work, args=(thread,), daemon=True).start()
work(3)
"""
)


@pytest.fixture(params=["C", "Python"])
def environment(request: pytest.FixtureRequest) -> dict[str, str]:
    if request.param == "C" and not is_installed():
        pytest.skip("the extension is not installed")
    return {
        **os.environ,
        PURE: "0" if request.param == "C" else "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *os.environ.get("PYTHONPATH", "").split(":")]),
    }


def rows_in(directory: Path) -> list[tuple[str, str, int]]:
    """Return key, writer and number of each whole row; a torn one may only be the last."""
    rows = []
    for path in directory.rglob("*"):
        if path.suffix in (".open", ".ready", ".sending"):
            lines = path.read_bytes().split(b"\n")
            assert path.suffix == ".open" or not lines[-1]
            found = [json.loads(line) for line in lines[:-1]]
            numbers = [row["seq"] for row in found]
            assert numbers == list(range(int(path.stem), int(path.stem) + len(numbers)))
            rows += [(row.get("key", ""), row["writer_id"], row["seq"]) for row in found]
    return rows


@pytest.mark.integration
def test_no_accepted_row_is_lost_or_doubled_by_kills(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    random = Random(1)
    accepted: list[str] = []
    for _ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        ) as process:
            assert process.stdout is not None
            told = [process.stdout.readline() for _ in range(random.randrange(50, 3_000))]
            process.kill()
            told += process.stdout.readlines()
        accepted += [line.decode().strip() for line in told if line.endswith(b"\n")]

    rows = rows_in(tmp_path)
    keys = Counter(key for key, _, _ in rows)
    assert [] == [key for key in accepted if keys[key] != 1]
    assert len(rows) == len({(writer, number) for _, writer, number in rows})
