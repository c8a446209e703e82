"""
A loopback receiver for the libraries that `tests.faults.peers` compares with: OTLP over HTTP, or
JSON lines over TCP as Logstash takes them.

A process of its own, so that it can be killed. ``python receiver.py otlp|logstash PORT FILE``
prints its port; the numbers of the records that it took are appended to FILE before it answers. A
line on stdin, ``KIND TIMES``, arms a fault for the next batches (-1: for all), ``clear 0`` disarms
it, ``met 0`` asks how many batches have met it; each is answered by a line. It ends with stdin.

Kinds: ``reset_before`` breaks the connection (RST) without taking the batch, ``reset_after`` after
taking it, ``unavailable`` answers 503 and does not take it, ``hang`` takes it and keeps the answer
for HANG_SECONDS.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler, TCPServer, ThreadingTCPServer
from typing import Any

HANG_SECONDS = 15.0


class Store:
    """The numbers that were taken, and the fault that the next batch meets."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._lock = threading.Lock()
        self._kind, self._times = "", 0
        self.met = 0

    def arm(self, kind: str, times: int) -> None:
        with self._lock:
            self._kind, self._times, self.met = kind, times, 0

    def next_fault(self) -> str:
        with self._lock:
            if self._times == 0:
                return ""
            self._times -= 1
            self.met += 1
            return self._kind

    def take(self, numbers: Iterable[str]) -> None:
        os.write(self._descriptor, "".join(f"{number}\n" for number in numbers).encode())


class Server(TCPServer):
    """What both handlers find as ``self.server``."""

    allow_reuse_address = True
    daemon_threads = True
    store: Store

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet about connections that broke: they are what this is for."""


class HTTPReceiver(Server, ThreadingHTTPServer):
    pass


class TCPReceiver(Server, ThreadingTCPServer):
    request_queue_size = 128


def reset(connection: socket.socket) -> None:
    """Break *connection* with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # Closed by its number: the files on the socket would keep it open.
    os.close(connection.detach())


class OTLPHandler(BaseHTTPRequestHandler):
    """``POST /v1/logs``."""

    protocol_version = "HTTP/1.1"
    server: HTTPReceiver

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def do_POST(self) -> None:
        fault = self.server.store.next_fault()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if fault == "reset_before":
            self.close_connection = True
            return reset(self.connection)
        if fault != "unavailable":
            self.server.store.take(otlp_numbers(body))
        if fault == "reset_after":
            self.close_connection = True
            return reset(self.connection)
        if fault == "hang":
            time.sleep(HANG_SECONDS)
        self.send_response(503 if fault == "unavailable" else 200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()


def otlp_numbers(body: bytes) -> list[str]:
    """Return the ``resource_id`` of each record in an export request."""
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (  # type: ignore[import-not-found]  # installed for `make faults` alone
        ExportLogsServiceRequest,
    )

    request = ExportLogsServiceRequest.FromString(body)
    return [
        attribute.value.string_value
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
        for attribute in record.attributes
        if attribute.key == "resource_id"
    ]


class LogstashHandler(StreamRequestHandler):
    """JSON lines, taken one by one as they come; nothing is ever answered."""

    server: TCPReceiver

    def handle(self) -> None:
        fault = self.server.store.next_fault()
        if fault == "reset_before":
            return reset(self.connection)
        for line in self.rfile:
            event = json.loads(line)
            self.server.store.take([{**event, **event.get("extra", {})}["resource_id"]])
        if fault == "hang":
            time.sleep(HANG_SECONDS)
        if fault == "reset_after":
            reset(self.connection)


def main(kind: str, port: str, path: str) -> None:
    server: HTTPReceiver | TCPReceiver
    if kind == "otlp":
        server = HTTPReceiver(("127.0.0.1", int(port)), OTLPHandler)
    else:
        server = TCPReceiver(("127.0.0.1", int(port)), LogstashHandler)
    server.store = Store(Path(path))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    for line in sys.stdin:
        name, times = line.split()
        if name != "met":
            server.store.arm(name, int(times))
        print(server.store.met, flush=True)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
