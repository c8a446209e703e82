"""
The examples of other libraries and frameworks in front of the handler, run with the real ones.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.support.loopback import LoopbackClickHouse
from tests.support.paths import ROOT

pytestmark = pytest.mark.once


Rows = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def environment(loopback: LoopbackClickHouse, database: str, tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "CLICKHOUSE_URL": loopback.dsn(database),
        "AUDIT_SPOOL_DIR": str(tmp_path / "spool"),
        "AUDIT_CREATE_TABLE": "true",
        "AUDIT_SHUTDOWN_TIMEOUT": "60",
    }


@pytest.fixture
def rows(loopback: LoopbackClickHouse, database: str) -> Rows:
    """Return the stored rows in order, without what is empty."""

    def read() -> list[dict[str, Any]]:
        stored = loopback.query(f"SELECT * FROM {database}.audit_logs ORDER BY event_time, seq")
        empty = ("", 0, "0", "::", None)
        return [{name: v for name, v in row.items() if v not in empty} for row in stored]

    return read


def run(environment: dict[str, str], *command: str) -> str:
    ran = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )
    assert 0 == ran.returncode, ran.stdout
    return ran.stdout


def picked(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row.get(name) for name in names)


def test_a_yaml_dict_config(environment: dict[str, str], rows: Rows) -> None:
    pytest.importorskip("yaml")

    output = run(environment, "examples/yaml_config.py")

    (row,) = rows()
    names = ("action", "resource_id", "agent_id", "request_id", "service_name", "logger")
    expected = ("UPDATE", "assam", "nightly-prices", "run-1", "shop", "shop.prices")
    assert expected == picked(row, *names)
    assert ('{"price":4.2}', '{"price":4.5}') == picked(row, "old_value", "new_value")
    assert "INFO shop.prices [run-1 nightly-prices] the prices rise\n" in output


def test_structlog_in_front(environment: dict[str, str], rows: Rows) -> None:
    pytest.importorskip("structlog")

    output = run(environment, "examples/structlog_app.py")

    (row,) = rows()
    names = ("action", "resource_id", "agent_id", "request_id", "outcome", "message", "level")
    assert ("CANCEL", "17", "u-1", "r-9", "failure", "cancelled", "ERROR") == picked(row, *names)
    assert "TimeoutError: the warehouse does not answer" == row["error_message"]
    metadata = json.loads(row["metadata"])
    assert ("out of tea", "TimeoutError") == picked(metadata, "reason", "exception.type")
    assert "INFO [u-1] looked up\n" in output


def test_loguru_in_front(environment: dict[str, str], rows: Rows) -> None:
    pytest.importorskip("loguru")

    output = run(environment, "examples/loguru_app.py")

    (row,) = rows()
    names = ("action", "resource_id", "agent_id", "request_id", "outcome", "message", "level")
    expected = ("REFUND", "17", "u-1", "r-9", "failure", "refund of 100% failed", "ERROR")
    assert expected == picked(row, *names)
    assert ("ConnectionError: the bank does not answer", '{"paid":12}') == picked(
        row, "error_message", "old_value"
    )
    assert "looked up" in output


DJANGO_CLIENT = """
import django.test, examples.django_app
client = django.test.Client(headers={"X-User": "ada", "User-Agent": "tests"})
print([client.post(f"/orders/{n}/approve").status_code for n in (17, 99)])
"""


def test_django_logging(environment: dict[str, str], rows: Rows) -> None:
    pytest.importorskip("django")

    output = run(environment, "-c", DJANGO_CLIENT)

    (row,) = rows()
    names = ("action", "resource_id", "agent_id", "endpoint", "http_method", "user_agent")
    expected = ("APPROVE", "17", "ada", "/orders/17/approve", "POST", "tests")
    assert expected == picked(row, *names)
    assert ('{"status":"new"}', "shop") == picked(row, "old_value", "service_name")
    assert f"INFO [{row['request_id']} ada] order approved\n" in output
    assert "[200, 404]" in output


def test_django_runs_as_a_program(environment: dict[str, str]) -> None:
    pytest.importorskip("django")

    assert "no issues" in run(environment, "examples/django_app.py", "check")


def ask(port: int, method: str, path: str, user: str = "", body: Any = None) -> tuple[int, Any]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"authorization": f"Bearer {user}", "content-type": "application/json"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text)


@pytest.fixture
def uvicorn(environment: dict[str, str]) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """The FastAPI example under the real server, on a free port."""
    for name in ("fastapi", "uvicorn", "yaml"):
        pytest.importorskip(name)
    command = [sys.executable, "-u", "-m", "uvicorn", "--log-config", "examples/logging.yaml"]
    command += ["--port", "0", "examples.fastapi_app:app"]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        assert server.stdout is not None
        said = ""
        for line in server.stdout:
            said += line
            if "Uvicorn running on" in line:
                break
        else:
            pytest.fail(said)
        try:
            yield int(line.split("127.0.0.1:")[1].split()[0]), server
        finally:
            server.kill()


def test_fastapi_under_uvicorn_with_a_log_config(
    uvicorn: tuple[int, subprocess.Popen[str]], rows: Rows
) -> None:
    port, server = uvicorn
    created = ask(port, "POST", "/api/orders", "ada", {"name": "Assam"})
    updated = ask(port, "PUT", "/api/orders/1", "cleo", {"name": "Assam", "quantity": 2})
    refused = ask(port, "POST", "/api/orders", "eve", {"name": "Assam"})
    ready = ask(port, "GET", "/health/ready")
    status = ask(port, "GET", "/admin/audit-status", "cleo")
    hidden = ask(port, "GET", "/admin/audit-status", "ada")
    server.send_signal(signal.SIGTERM)
    output, _ = server.communicate(timeout=60)

    answers = (created, updated, refused, ready, status, hidden)
    assert [201, 200, 401, 200, 200, 403] == [code for code, _ in answers]
    assert 3 == status[1]["handlers"][0]["rows_emitted"]
    stored = rows()
    names = ("action", "agent_id", "resource_type", "status_code", "service_name")
    assert [
        ("CREATE", "u-1", "orders", 201, "shop"),
        ("UPDATE", "u-3", "orders", 200, "shop"),
        ("CREATE", None, "orders", 401, "shop"),
    ] == [picked(row, *names) for row in stored]
    assert ['{"name":"Assam","quantity":1}', '{"name":"Assam","quantity":2}'] == [
        stored[1][name] for name in ("old_value", "new_value")
    ]
    # The lines of the application and of uvicorn itself have one shape, and the request's id.
    assert f"INFO shop.orders [{stored[0]['request_id']} -] order 1 of Ada Osei\n" in output
    assert "INFO uvicorn.error [- -] Shutting down\n" in output


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the prefork pool needs fork")
def test_a_celery_worker(environment: dict[str, str], rows: Rows, tmp_path: Path) -> None:
    """A worker with two children, over a broker of files."""
    pytest.importorskip("celery")
    (tmp_path / "queue").mkdir()
    (tmp_path / "control").mkdir()
    options = {
        "data_folder_in": str(tmp_path / "queue"),
        "data_folder_out": str(tmp_path / "queue"),
        "control_folder": str(tmp_path / "control"),
    }
    (tmp_path / "celeryconfig.py").write_text(f"broker_transport_options = {options!r}\n")
    environment = {
        **environment,
        "CELERY_BROKER_URL": "filesystem://",
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    send = """
import examples.celery_worker as shop
shop.app.config_from_object("celeryconfig")
for number in (17, 18, 19):
    shop.ship.apply_async(args=[number], headers={"agent_id": f"u-{number}"})
"""
    run(environment, "-c", send)
    worker = """
import examples.celery_worker as shop
shop.app.config_from_object("celeryconfig")
shop.app.worker_main(["worker", "--concurrency=2", "--without-gossip", "--without-mingle"])
"""
    output, shipped = "", 0
    with subprocess.Popen(
        [sys.executable, "-c", worker],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            while shipped < 3 and (line := process.stdout.readline()):
                output += line
                shipped += "order shipped" in line
            process.send_signal(signal.SIGTERM)
            output += process.communicate(timeout=60)[0]
        finally:
            process.kill()
    assert 3 == shipped, output
    stored = sorted(rows(), key=lambda row: row["resource_id"])

    names = ("action", "resource_id", "agent_id", "service_name")
    assert [("SHIP", str(n), f"u-{n}", "shop-worker") for n in (17, 18, 19)] == [
        picked(row, *names) for row in stored
    ]
    for row in stored:
        assert f"INFO [{row['request_id']}] the parcel is packed\n" in output
