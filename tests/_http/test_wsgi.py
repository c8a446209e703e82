"""A request on its way through a WSGI application: its body, streams, the end."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import flask
import pytest
from flask import Response, g, request, stream_with_context
from werkzeug.test import EnvironBuilder
from werkzeug.wsgi import FileWrapper

from audit_handler import bind, bound, current
from audit_handler._http import HttpAuditor, HttpRules
from audit_handler._http.wsgi import Passage
from audit_handler._record.redaction import REDACTED
from tests.support.asgi import Capture, private_logger
from tests.support.flask_orders import Server, application, asked, emptied, start_nothing

pytestmark = pytest.mark.usefixtures("context_is_restored")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "//api/orders"),
        ("POST", "///api/orders"),
        ("POST", "api/orders"),
        ("post", "/api/orders"),
    ],
)
def test_no_other_way_to_write_a_request_gets_around_its_audit(
    logger: logging.Logger, audits: Capture, method: str, path: str
) -> None:
    """Flask's router takes all of these, and servers hand them on as they were sent."""
    environ = EnvironBuilder(json={"name": "Tea"}).get_environ()
    environ |= {"REQUEST_METHOD": method, "PATH_INFO": path}

    body: Any = application(logger)(environ, start_nothing)
    list(body)
    body.close()

    row = audits.row
    assert ("CREATE", "POST", "/api/orders", 201) == (
        row["action"],
        row["http_method"],
        row["endpoint"],
        row["status_code"],
    )


def test_a_form_and_its_files_are_parsed_as_ever(logger: logging.Logger, audits: Capture) -> None:
    def parsed() -> Any:
        return {"name": request.form["name"], "size": len(request.files["photo"].read())}

    photo = (io.BytesIO(b"x" * 300_000), "photo.png")
    answer = asked(
        application(logger, {"/api/orders": parsed}), data={"name": "Ada", "photo": photo}
    )

    assert {"name": "Ada", "size": 300_000} == answer.get_json()
    body = audits.row["request_body"]
    assert "Ada" == body["name"]
    assert body["photo"].startswith("<photo.png: image/png, cut at 65")


@pytest.mark.parametrize(
    "take",
    [
        lambda stream: stream.read(),
        lambda stream: b"".join(stream),
        lambda stream: b"".join(stream.readlines()),
        lambda stream: b"".join(iter(stream.readline, b"")),
        lambda stream: b"".join(iter(lambda: stream.read(3), b"")),
    ],
    ids=["read", "iter", "readlines", "readline", "read some"],
)
@pytest.mark.parametrize("is_raw", [True, False], ids=["wsgi.input", "request.stream"])
def test_every_way_to_read_a_body_is_seen_once(
    logger: logging.Logger, audits: Capture, is_raw: bool, take: Callable[[Any], bytes]
) -> None:
    sent = b"first line\nsecond line\n"
    app = application(
        logger,
        {"/api/orders": lambda: take(request.environ["wsgi.input"] if is_raw else request.stream)},
    )

    answer = asked(app, data=sent, content_type="text/plain")

    assert sent == answer.data
    assert sent.decode() == audits.row["request_body"]
    assert "metadata" not in audits.row or "client_disconnected" not in audits.row["metadata"]


def test_a_read_of_nothing_is_no_end(logger: logging.Logger, audits: Capture) -> None:
    app = application(logger, {"/api/orders": lambda: request.environ["wsgi.input"].read(0)})

    asked(app, data=b"tea", content_type="text/plain")

    assert "client_disconnected" not in audits.row["metadata"]


def test_a_body_that_the_view_does_not_read_is_not_read(
    logger: logging.Logger, audits: Capture
) -> None:
    class Untouchable(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, _buffer: Any) -> int:
            raise AssertionError("read ahead")

    server = Server(
        application(logger, {"/api/orders": emptied}),
        upload=(Untouchable(), 5),
    )

    assert "204 NO CONTENT" == server.status
    assert [] == list(server.body)
    assert "request_body" not in audits.row


def test_an_upload_whose_client_goes_is_told_from_one_that_ends(
    logger: logging.Logger, audits: Capture
) -> None:
    server = Server(
        application(logger),
        upload=(io.BytesIO(b'{"name": "Te'), 500),
        content_type="application/json",
    )
    list(server.body)

    row = audits.row
    assert ("CREATE", 400, "failure") == (row["action"], row["status_code"], row["outcome"])
    assert row["metadata"]["client_disconnected"] is True
    assert '{"name": "Te' == row["request_body"]


def test_an_upload_that_breaks_off_is_a_disconnect(logger: logging.Logger, audits: Capture) -> None:
    class Broken:
        def read(self, *_: int) -> bytes:
            raise ConnectionResetError

    server = Server(application(logger), upload=(Broken(), 5), content_type="application/json")
    list(server.body)

    assert audits.row["metadata"]["client_disconnected"] is True


def streaming(chunks: Callable[[], Iterator[str]]) -> dict[str, Callable[..., Any]]:
    return {"/api/orders": lambda: Response(chunks(), mimetype="text/plain")}


def test_a_stream_passes_chunk_by_chunk(logger: logging.Logger, audits: Capture) -> None:
    made: list[str] = []

    def chunks() -> Iterator[str]:
        for n in range(3):
            made.append(f"{n}")
            yield made[-1]

    server = Server(application(logger, streaming(chunks)))

    for n in range(3):
        assert (b"%d" % n, n + 1) == (server.next(), len(made))
    assert [] == audits.rows
    with pytest.raises(StopIteration):
        server.next()
    assert ("012", "success") == (audits.row["response_body"], audits.row["outcome"])


def test_the_audit_is_logged_before_the_last_byte_of_a_known_length_goes_out(
    logger: logging.Logger, audits: Capture
) -> None:
    server = Server(application(logger), json={"name": "Tea"})
    before = len(audits.rows)

    assert 0 == before
    assert b"Tea" in server.next()
    assert ("success", "17") == (audits.row["outcome"], audits.row["resource_id"])


def test_a_client_that_goes_closes_the_stream_and_is_audited(
    logger: logging.Logger, audits: Capture
) -> None:
    closed: list[str] = []

    def chunks() -> Iterator[str]:
        try:
            while True:
                yield "tea"
        finally:
            closed.append("generator")

    def view() -> Any:
        response = Response(chunks(), mimetype="text/plain")
        response.call_on_close(lambda: closed.append("call_on_close"))
        return response

    server = Server(application(logger, {"/api/orders": view}))
    server.next()
    server.close()
    server.close()

    assert {"generator", "call_on_close"} == set(closed)
    row = audits.row
    assert ("tea", 200, "failure") == (row["response_body"], row["status_code"], row["outcome"])
    assert row["metadata"]["client_disconnected"] is True


def test_an_exception_in_a_stream_keeps_the_status_that_was_sent(
    logger: logging.Logger, audits: Capture
) -> None:
    def chunks() -> Iterator[str]:
        yield "half"
        raise LookupError("the other half")

    server = Server(application(logger, streaming(chunks)))
    server.next()
    with pytest.raises(LookupError):
        server.next()
    server.close()

    row = audits.row
    assert ("ERROR", 200, "failure") == (row["action"], row["status_code"], row["outcome"])
    assert "LookupError: the other half" == row["error_message"]


def test_an_exception_while_closing_is_raised_on(logger: logging.Logger, audits: Capture) -> None:
    def broken() -> None:
        raise LookupError("close")

    def view() -> Any:
        response = Response(iter(["a", "b"]))
        response.call_on_close(broken)
        return response

    server = Server(application(logger, {"/api/orders": view}))
    with pytest.raises(LookupError):
        server.close()

    assert ("ERROR", "LookupError: close") == (audits.row["action"], audits.row["error_message"])


def test_streams_that_take_turns_on_one_thread_keep_their_own_context(
    logger: logging.Logger, audits: Capture
) -> None:
    def chunks() -> Iterator[str]:
        order = current()["order"]
        with bound(step="first"):
            yield "a"
            assert ("first", order) == (current()["step"], current()["order"])
        assert "step" not in current()
        bind(last=order)
        yield "b"
        logger.info("inside", extra={"action": "NOTE"})

    def view() -> Any:
        bind(order=request.args["order"])
        return Response(chunks(), mimetype="text/plain")

    app = application(logger, {"/api/orders": view})
    before = current()
    servers = [
        Server(app, f"/api/orders?order={n}", headers={"X-Request-ID": f"r-{n}"}) for n in range(3)
    ]

    for _ in range(2):
        for server in servers:
            server.next()
            assert before is current()
    for server in reversed(servers):
        with pytest.raises(StopIteration):
            server.next()
        server.close()

    assert [f"r-{n}" for n in (2, 2, 1, 1, 0, 0)] == [row["request_id"] for row in audits.rows]
    assert [f"{n}" for n in (2, 2, 1, 1, 0, 0)] == [row["last"] for row in audits.rows]


def test_a_stream_with_context_has_its_request(logger: logging.Logger, audits: Capture) -> None:
    """Its teardown runs when the stream ends."""
    torn_down: list[int] = []

    def chunks() -> Iterator[str]:
        yield request.path
        g.user = "ada"

    app = application(logger, {"/api/orders": lambda: Response(stream_with_context(chunks()))})
    app.teardown_request(lambda _exc: torn_down.append(len(audits.rows)))
    answer = asked(app)

    assert b"/api/orders" == answer.data
    assert "success" == audits.row["outcome"]
    assert torn_down


def test_a_response_may_be_closed_by_another_thread(
    logger: logging.Logger, audits: Capture
) -> None:
    def chunks() -> Iterator[str]:
        yield "a"
        yield "b"

    server = Server(application(logger, streaming(chunks)), headers={"X-Request-ID": "req-1"})
    server.next()
    thread = threading.Thread(target=server.close)
    thread.start()
    thread.join()

    assert ("req-1", "failure") == (audits.row["request_id"], audits.row["outcome"])


def test_a_file_that_the_server_sends_itself_stays_one(
    logger: logging.Logger, audits: Capture
) -> None:
    app = application(logger)
    app.add_url_rule("/file", "file", lambda: flask.send_file(__file__))
    app.add_url_rule("/api/file", "audited", lambda: flask.send_file(__file__), methods=["POST"])
    overrides = {"wsgi.file_wrapper": FileWrapper}

    def sent(method: str, path: str) -> Any:
        environ = EnvironBuilder(path, method=method, environ_overrides=overrides).get_environ()
        return app(environ, start_nothing)

    plain, audited = sent("GET", "/file"), sent("POST", "/api/file")
    size = len(b"".join(audited))
    for body in (plain, audited):
        body.close()

    assert FileWrapper is type(plain)
    assert f", {size} bytes>" in audits.row["response_body"]


def test_a_handler_that_fails_closed_stops_the_answer_and_logs_once() -> None:
    """
    With ``on_full="raise"`` the handler raises: the client must not take the answer for audited.
    """
    calls: list[str] = []

    class Full(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            calls.append(record.getMessage())
            raise RuntimeError("the spool is full")

    server = Server(application(private_logger(logging.INFO, Full())), json={})

    with pytest.raises(RuntimeError, match="the spool is full"):
        server.next()
    server.close()
    assert ["POST /api/orders: 201"] == calls


# What the framework reports


def reported(audits: Capture, *reports: dict[str, Any]) -> Any:
    """Return the row of a request of which *reports* were made, one after the other."""
    environ = EnvironBuilder("/api/reset/s3cr3t", method="POST").get_environ()
    auditor = HttpAuditor(audits.logger, None, HttpRules())
    passage = Passage(auditor, environ, start_nothing)

    def app(_environ: Any, start_response: Any) -> list[bytes]:
        for report in reports:
            passage.learn(**report)
        start_response("200 OK", [])
        return [b"done"]

    assert [b"done"] == list(passage.serve(app, environ))
    return audits.row


def test_what_is_left_out_of_a_report_stays_as_it_was(audits: Capture) -> None:
    row = reported(
        audits,
        {"route": "/api/reset/{token}", "path_params": {"token": "s3cr3t"}},
        {"agent": {"agent_id": "u-1"}, "session_id": "s3cr3t"},
        {},
    )

    assert {"route": "/api/reset/{token}", "path_params": {"token": REDACTED}} == row["metadata"]
    assert ("u-1", 32) == (row["agent_id"], len(row["session_id"]))
    assert "s3cr3t" not in audits.lines[0]


def test_a_report_may_take_back_what_was_known(audits: Capture) -> None:
    row = reported(
        audits,
        {"path_params": {"token": "s3cr3t"}, "session_id": "s3cr3t"},
        {"path_params": None, "session_id": None},
    )

    assert f"/{REDACTED}" == row["endpoint"]
    assert "session_id" not in row


def test_an_error_that_became_a_page_is_the_audits(audits: Capture) -> None:
    row = reported(audits, {"error": LookupError("no such drawer")})

    assert ("ERROR", 200) == (row["action"], row["status_code"])
    assert "LookupError: no such drawer" == row["error_message"]
