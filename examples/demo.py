"""
A web application, a few hundred requests, and the audit events in ClickHouse.

Start examples/starlette_app.py under uvicorn, send requests of several users, stop the application,
and query ClickHouse (chDB, inside this process, without a server): what did each user do, and is
anything missing? A second run adds to the same database.

Exit code 0 if every request that must be audited is stored exactly once, else 1.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import clickhouse_connect
import httpx
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
USERS = {  # name: client program, and the address that the server's proxy reports
    "ada": ("Mozilla/5.0 (Macintosh) Safari/605.1", "203.0.113.7"),
    "ben": ("orders-mobile/4.2 (Android 15)", "198.51.100.23"),
    "cleo": ("orders-cli/1.4", "2001:db8::42"),
}
TEAS = ["Assam", "Darjeeling", "Earl Grey", "Lapsang Souchong", "Sencha"]

console = Console(width=None if sys.stdout.isatty() else 120)


def start_server(data: Path, port: int) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "CLICKHOUSE_URL": f"chdb://{data}/clickhouse",
        "AUDIT_SPOOL_DIR": f"{data}/spool",
    }
    command = [sys.executable, "-m", "uvicorn", "examples.starlette_app:app"]
    with (data / "server.log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603  # our own program, with our own arguments
            [*command, "--port", str(port)], cwd=ROOT, env=environment, stdout=log, stderr=log
        )


def wait_until_it_answers(client: httpx.Client, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        try:
            client.get("/api/orders")
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit("the server did not start; see server.log in the data directory")


def send_requests(client: httpx.Client, count: int, run: str) -> int:
    """Send *count* requests of a working day; return how many of them must be audited."""
    chance = random.Random(7)  # noqa: S311  # the same day each time
    orders: list[int] = []
    audited = 0
    for number in track(range(count), "Sending requests ...", console=console):
        user = chance.choice(list(USERS))
        agent, address = USERS[user]
        headers = {
            "X-User": user,
            "User-Agent": agent,
            "X-Request-ID": f"{run}-{number}",
            "X-Forwarded-For": address,  # we are the proxy: uvicorn trusts the loopback address
            "Cookie": f"session=s3cr3t-of-{user}",
        }
        order = {"name": chance.choice(TEAS), "quantity": chance.randint(1, 9)}
        some = f"/api/orders/{chance.choice(orders) if orders else 999_999}"
        method, path, body = chance.choices(
            [
                ("POST", "/api/orders", {**order, "iban": "DE02120300000000202051"}),
                ("GET", some, None),
                ("PATCH", some, order),
                ("POST", f"{some}/approve", None),
                ("DELETE", some, None),
                ("DELETE", "/api/orders/999999", None),  # 404
                ("POST", "/api/orders", {"quantity": 3}),  # 422
                ("POST", f"{some}/ship", None),  # 500
            ],
            weights=[30, 12, 20, 14, 8, 4, 6, 6],
        )[0]
        response = client.request(method, path, json=body, headers=headers)
        if method == "POST" and response.status_code == 201:
            orders.append(response.json()["id"])
        audited += method != "GET"
    return audited


def stop(server: subprocess.Popen[bytes]) -> None:
    """Stop the server as a service manager does; the handler first delivers the waiting rows."""
    server.send_signal(signal.SIGTERM)
    server.wait(timeout=60)


def show(title: str, clickhouse: Any, sql: str, run: str) -> list[dict[str, Any]]:
    """Run *sql*, print its rows as a table, and return them."""
    answer = clickhouse.query(sql, parameters={"run": f"{run}-"})
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for name in answer.column_names:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in answer.result_rows:
        table.add_row(*(escape(str(value)) for value in row))
    console.print(table)
    return list(answer.named_results())


STATUS = "if(status_code = 0, '', toString(status_code))"  # 0: no status was logged
THIS_RUN = "FROM audit_db.audit_logs WHERE startsWith(request_id, {run:String})"
ACTIONS = f"""
    SELECT action, countIf(outcome = 'success') AS success, countIf(outcome = 'failure') AS failure,
           count() AS total, max(response_time_ms) AS slowest_ms
    {THIS_RUN} GROUP BY action ORDER BY total DESC"""
LATEST = f"""
    SELECT formatDateTime(event_time, '%H:%i:%S.%f') AS time, agent_name AS who, action,
           concat(resource_type, ' ', resource_id) AS what, resource_name AS name, outcome,
           replaceRegexpOne(toString(ip_address), '^::ffff:', '') AS address
    {THIS_RUN} ORDER BY event_time DESC LIMIT 10"""
TRAIL = f"""
    SELECT formatDateTime(event_time, '%H:%i:%S.%f') AS time, action,
           concat(resource_type, ' ', resource_id) AS what, {STATUS} AS status,
           if(action = 'APPROVE', concat(old_value, ' -> ', new_value), request_body) AS content
    {THIS_RUN} AND agent_id = 'u-1' ORDER BY event_time LIMIT 8"""
FAILED = f"""
    SELECT action, {STATUS} AS status, if(error_message = '', message, error_message) AS error,
           count() AS times, arrayStringConcat(groupUniqArray(3)(agent_name), ', ') AS who
    {THIS_RUN} AND outcome = 'failure' GROUP BY ALL ORDER BY times DESC LIMIT 10"""
COMPLETE = """
    SELECT writer_id, count() AS rows, max(seq) AS last_seq, max(seq) - uniqExact(seq) AS gaps,
           count() - uniqExact(seq) AS repeats,
           if(gaps = 0 AND repeats = 0, 'complete', 'NOT COMPLETE') AS verdict
    FROM audit_db.audit_logs GROUP BY writer_id ORDER BY writer_id"""


def main() -> int:
    parser = argparse.ArgumentParser(description="Show audit-handler at work, from end to end.")
    parser.add_argument(
        "--data",
        type=Path,
        default=ROOT / "demo-data",
        help="directory of the data (default: demo-data, beside examples)",
    )
    parser.add_argument(
        "--requests", type=int, default=400, help="number of requests to send (default: 400)"
    )
    options = parser.parse_args()
    data: Path = options.data.resolve()
    data.mkdir(parents=True, exist_ok=True)
    run = f"demo-{uuid.uuid4().hex[:8]}"

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    console.print(f"Starting the application on {url} ...")
    server = start_server(data, port)
    try:
        # One connection per request: uvicorn closes a connection after a failed request.
        limits = httpx.Limits(max_keepalive_connections=0)
        with httpx.Client(base_url=url, trust_env=False, limits=limits) as client:
            wait_until_it_answers(client, server)
            audited = send_requests(client, options.requests, run)
        console.print("Stopping the application, which delivers the waiting rows ...")
    finally:
        stop(server)

    dsn = f"chdb://{data}/clickhouse"
    clickhouse = clickhouse_connect.get_client(dsn=dsn)
    console.print(
        f"\n[bold]What ClickHouse stored[/] of the {audited} audited requests of this run\n"
    )
    show("What was done", clickhouse, ACTIONS, run)
    show("The last ten", clickhouse, LATEST, run)
    show("The trail of Ada Osei", clickhouse, TRAIL, run)
    show("What failed", clickhouse, FAILED, run)
    writers = show("Is anything missing? Each process numbers its rows", clickhouse, COMPLETE, run)
    stored = clickhouse.query(f"SELECT count() {THIS_RUN}", parameters={"run": f"{run}-"})
    clickhouse.close()

    found = stored.result_rows[0][0]
    is_complete = found == audited and all(row["verdict"] == "complete" for row in writers)
    verdict = "[bold green]Complete[/]" if is_complete else "[bold red]NOT COMPLETE[/]"
    console.print(f"{verdict}: {audited} events of this run must be stored, {found} are.")
    console.print(f"\nThe data is in {data}. Query it with:\n")
    query = "SELECT action, count() FROM audit_db.audit_logs GROUP BY action"
    code = f"import clickhouse_connect as c; print(c.get_client(dsn='{dsn}').query('{query}')"
    console.print(f'  {sys.executable} -c "{code}.result_rows)"', soft_wrap=True, markup=False)
    return 0 if is_complete else 1


if __name__ == "__main__":
    sys.exit(main())
