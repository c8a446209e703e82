"""
The Flask example under gunicorn, with ``--preload`` and threads: what a team would deploy.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.support.engines import completeness
from tests.support.loopback import LoopbackClickHouse
from tests.support.paths import ROOT

pytestmark = pytest.mark.once


pytest.importorskip("gunicorn", reason="gunicorn does not run on Windows")


def ask(port: int, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    data = None if body is None else json.dumps(body)
    connection.request(method, path, data, {"content-type": "application/json", **sent})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, text


def test_the_flask_example_stores_each_request_once_across_workers_and_their_end(
    loopback: LoopbackClickHouse, database: str, tmp_path: Path
) -> None:
    """
    200 requests of 20 users at a time, two workers with four threads each, and SIGTERM while
    audits still wait: the interval is far longer than the test.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "2", "--threads", "4"]
    command += ["--bind", f"fd://{listener.fileno()}", "examples.flask_app:app"]
    environment = {
        **os.environ,
        "CLICKHOUSE_URL": loopback.dsn(database),
        "AUDIT_SPOOL_DIR": str(tmp_path / "spool"),
        "AUDIT_CREATE_TABLE": "true",
        "AUDIT_FLUSH_INTERVAL": "3600000",
    }

    def create(n: int) -> int:
        user, number = ("ada", "ben", "cleo")[n % 3], f"r-{n}"
        order = {"name": f"order {n}", "iban": f"secret {n}"}
        return ask(port, "POST", "/api/orders", order, x_user=user, x_request_id=number)[0]

    with subprocess.Popen(
        command, cwd=ROOT, env=environment, pass_fds=[listener.fileno()], stderr=subprocess.PIPE
    ) as gunicorn:
        try:
            listener.close()
            with ThreadPoolExecutor(20) as pool:
                statuses = Counter(pool.map(create, range(200)))
            others = [
                ask(port, "POST", "/api/orders/9999/ship", x_user="ada"),
                ask(port, "POST", "/api/orders/export", x_user="ben"),
            ]
            gunicorn.send_signal(signal.SIGTERM)
            _, stderr = gunicorn.communicate(timeout=60)
        finally:
            gunicorn.kill()  # or the end of this block would wait for it for ever

    assert 0 == gunicorn.returncode, stderr.decode()
    assert {201: 200} == statuses
    assert [404, 200] == [status for status, _ in others]
    table = f"{database}.audit_logs"
    rows = loopback.query(f"SELECT * FROM {table}")
    assert {"CREATE": 201, "EXPORT": 1} == Counter(row["action"] for row in rows)
    created = [row for row in rows if row["status_code"] == 201]
    assert {f"r-{n}" for n in range(200)} == {row["request_id"] for row in created}
    for row in created:
        n = int(row["request_id"].removeprefix("r-"))
        answer = json.loads(row["response_body"])
        assert f"u-{n % 3 + 1}" == row["agent_id"] == answer["by"]
        assert f"order {n}" == row["resource_name"] == json.loads(row["request_body"])["name"]
        assert "secret" not in row["request_body"] + row["response_body"]
    writers = completeness(loopback, table)
    assert 202 == sum(int(writer["rows"]) for writer in writers)
    assert {(0, 0)} == {(int(writer["gaps"]), int(writer["repeats"])) for writer in writers}
    assert [] == [path for path in (tmp_path / "spool").rglob("*.ready")]
