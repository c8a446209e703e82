"""What must not get out, and what must not get in."""

from __future__ import annotations

import json
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from audit_handler import AuditHandler
from tests.support.loopback import LoopbackClickHouse

pytestmark = pytest.mark.once


MakeHandler = Callable[..., AuditHandler]
AUDIT = {"action": "CREATE", "resource_type": "order"}


class TlsFront:
    """A TLS socket in front of the loopback server, with a certificate for *name*."""

    def __init__(self, backend_port: int, *, name: str, must_show_certificate: bool) -> None:
        self.authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(name).configure_cert(context)
        if must_show_certificate:
            context.verify_mode = ssl.CERT_REQUIRED
            self.authority.configure_trust(context)
        self._backend_port = backend_port
        self._context = context
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        try:
            client = self._context.wrap_socket(plain, server_side=True)
        except (ssl.SSLError, OSError):
            plain.close()
            return
        server = socket.create_connection(("127.0.0.1", self._backend_port))
        back = threading.Thread(target=_pass_on, args=(server, client), daemon=True)
        back.start()
        _pass_on(client, server)


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            sink.sendall(data)
    except OSError:
        pass
    finally:
        for end in (source, sink):
            end.close()


@pytest.fixture
def tls(faults: LoopbackClickHouse) -> Iterator[Callable[..., TlsFront]]:
    fronts: list[TlsFront] = []

    def make(*, name: str = "127.0.0.1", must_show_certificate: bool = False) -> TlsFront:
        fronts.append(TlsFront(faults.port, name=name, must_show_certificate=must_show_certificate))
        return fronts[-1]

    yield make
    for front in fronts:
        front.close()


def authority_file(front: TlsFront, directory: Path) -> str:
    path = directory / "ca.pem"
    front.authority.cert_pem.write_to_path(str(path))
    return str(path)


def wait_for_trouble(handler: AuditHandler) -> str:
    while not handler.status().last_error:
        handler.flush(0.05)
    return handler.status().last_error


def test_a_certificate_of_an_unknown_authority_is_refused_and_named(
    tls: Any, database: str, make_handler: MakeHandler, log: logging.Logger
) -> None:
    handler = make_handler(f"https://127.0.0.1:{tls().port}/{database}", logger=log.name)
    log.info("x", extra=AUDIT)
    trouble = wait_for_trouble(handler)

    assert trouble.startswith("SetupError: TLS:")
    assert "ca_cert" in trouble
    assert handler.status().rows_waiting == 1


def test_a_certificate_for_another_name_is_refused(
    tls: Any, database: str, make_handler: MakeHandler, log: logging.Logger, tmp_path: Path
) -> None:
    front = tls(name="clickhouse.example.org")
    handler = make_handler(
        f"https://127.0.0.1:{front.port}/{database}",
        logger=log.name,
        client_options={"ca_cert": authority_file(front, tmp_path)},
    )
    log.info("x", extra=AUDIT)

    assert "SetupError: TLS:" in wait_for_trouble(handler)


def test_with_the_right_authority_rows_arrive(
    tls: Any,
    faults: LoopbackClickHouse,
    database: str,
    make_handler: MakeHandler,
    log: logging.Logger,
    tmp_path: Path,
) -> None:
    front = tls()
    handler = make_handler(
        f"https://127.0.0.1:{front.port}",
        database=database,
        logger=log.name,
        client_options={"ca_cert": authority_file(front, tmp_path)},
    )
    log.info("x", extra=AUDIT)

    assert handler.flush()
    assert [{"n": 1}] == faults.query(f"SELECT count() AS n FROM {database}.audit_logs")


def test_a_server_that_wants_to_see_a_certificate_is_shown_ours(
    tls: Any, database: str, make_handler: MakeHandler, log: logging.Logger, tmp_path: Path
) -> None:
    front = tls(must_show_certificate=True)
    ours = front.authority.issue_cert("audit-writer")
    ours.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "client.pem"))
    handler = make_handler(
        f"https://default@127.0.0.1:{front.port}",
        database=database,
        logger=log.name,
        client_options={
            "ca_cert": authority_file(front, tmp_path),
            "client_cert": str(tmp_path / "client.pem"),
            "tls_mode": "proxy",
        },
    )
    log.info("x", extra=AUDIT)

    assert handler.flush()


def test_no_value_can_forge_a_row(
    faults: LoopbackClickHouse, database: str, make_handler: MakeHandler, log: logging.Logger
) -> None:
    forged = 'x"}\n{"writer_id":"forged","seq":1,"action":"FORGED"}\r\n'
    handler = make_handler(faults.dsn(database), logger=log.name)
    extra = {"action": forged, "resource_id": forged, forged: forged, "new_value": {forged: forged}}
    log.info(forged, extra=extra)
    assert handler.flush()
    (row,) = faults.query(f"SELECT action, message, new_value FROM {database}.audit_logs")

    assert (forged, forged) == (row["action"], row["message"])
    assert {forged: forged} == json.loads(row["new_value"])


def test_no_answer_of_a_server_can_forge_a_log_line(
    faults: LoopbackClickHouse,
    database: str,
    make_handler: MakeHandler,
    log: logging.Logger,
    caplog: pytest.LogCaptureFixture,
) -> None:
    faults.fault("error", code=241, text="memory\nCRITICAL:root:forged \x1b[31mred", times=3)
    handler = make_handler(faults.dsn(database), logger=log.name)
    log.info("x", extra=AUDIT)
    assert handler.flush()
    said = [r.getMessage() for r in caplog.records if r.name.startswith("audit_handler")]

    assert any("forged" in line for line in said)
    assert all(line.isprintable() for line in said)
