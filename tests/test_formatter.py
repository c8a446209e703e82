"""Audits are printed as the row that is stored, other records as ordinary lines; secrets never."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audit_handler import AuditContextFilter, bound, context
from audit_handler._record.encoder import RecordEncoder
from audit_handler._record.redaction import REDACTED, Redactor
from audit_handler.formatter import AuditJsonFormatter

SECRET = "hunter2"
AUDIT = {"action": "PAY", "resource_type": "order", "resource_id": 17}


@pytest.fixture(autouse=True)
def _nothing_bound() -> Iterator[None]:
    context.clear()
    yield
    context.clear()


def record_of(message: Any = "paid", *args: Any, **extras: Any) -> logging.LogRecord:
    record = logging.LogRecord("shop", logging.INFO, "shop.py", 1, message, args, None)
    record.__dict__.update(extras)
    return record


def printed(record: logging.LogRecord, **options: Any) -> dict[str, Any]:
    line = AuditJsonFormatter(**options).format(record)
    assert "\n" not in line
    printed: dict[str, Any] = json.loads(line)
    return printed


def stored(record: logging.LogRecord) -> dict[str, Any]:
    encoder = RecordEncoder(
        redactor=Redactor(),
        context=context.current,
        service_name="shop",
        max_value_bytes=65_536,
        max_row_bytes=8_000_000,
        now=time.time,
    )
    row: dict[str, Any] = json.loads(encoder.encode(record)[0])
    return row


def test_an_audit_is_printed_as_the_row_that_is_stored() -> None:
    with bound(agent_id="u-3", request_id="r-9"):
        record = record_of(**AUDIT, zone="eu", new_value={"total": 12, "password": SECRET})
        row, line = stored(record), printed(record, service_name="shop")

    del row["event_id"]  # the handler's own
    assert row == line
    assert ("u-3", "r-9", "17", {"total": 12, "password": REDACTED}) == tuple(
        line[name] for name in ("agent_id", "request_id", "resource_id", "new_value")
    )


def test_an_event_id_that_the_record_brings_is_printed() -> None:
    event_id = "01939e8c-6f2a-7c3e-8000-000000000001"

    assert event_id == printed(record_of(**AUDIT, event_id=event_id))["event_id"]


def test_a_long_value_is_cut_as_in_the_table() -> None:
    line = printed(record_of(**AUDIT, request_body="x" * 1_000), max_value_bytes=256)

    assert (256, {"request_body": 1_000}) == (
        len(line["request_body"]),
        line["metadata"]["_truncated"],
    )


def test_a_record_that_is_no_audit_is_an_ordinary_line() -> None:
    record = record_of("%s paid", "ann", zone="eu", items=[1, 2])
    record.created = 1_790_000_000.5

    assert {
        "event_time": "2026-09-21 14:13:20.500000+00:00",
        "level": "INFO",
        "logger": "shop",
        "message": "ann paid",
        "zone": "eu",
        "items": [1, 2],
    } == printed(record)


@pytest.mark.parametrize("extras", [{}, AUDIT], ids=["ordinary", "audit"])
def test_secrets_are_redacted_wherever_they_stand(extras: dict[str, Any]) -> None:
    try:
        raise ValueError(f"password={SECRET}")
    except ValueError as exc:
        record = record_of(f"login with password={SECRET}", **extras)
        record.exc_info = (type(exc), exc, exc.__traceback__)
    record.stack_info = f"Stack: token={SECRET}"
    record.__dict__.update(
        token=SECRET, body=f'{{"password": "{SECRET}"}}', pin={"pin_code": SECRET}
    )

    line = AuditJsonFormatter(redact_keys=["pin_code"]).format(record)

    assert SECRET not in line
    assert "ValueError" in line
    assert line.count(REDACTED) >= 6


@pytest.mark.parametrize("extras", [{}, AUDIT], ids=["ordinary", "audit"])
def test_exceptions_stay_and_patterns_are_redacted(extras: dict[str, Any]) -> None:
    record = record_of("by CUST-0123456789", **extras, note={"token": "t", "password": SECRET})

    line = json.loads(
        AuditJsonFormatter(redact_except=["token"], redact_patterns=[r"CUST-\d+"]).format(record)
    )

    assert f"by {REDACTED}" == line["message"]
    assert {"token": "t", "password": REDACTED} == line["note"]


def test_secrets_in_a_message_that_is_a_dict_are_redacted() -> None:
    line = printed(record_of({"event": "login", "password": SECRET}))

    assert ("login", REDACTED) == (line["event"], line["password"])


@pytest.mark.parametrize("extras", [{}, AUDIT], ids=["ordinary", "audit"])
def test_what_is_no_unicode_is_printed_escaped(extras: dict[str, Any]) -> None:
    line = AuditJsonFormatter().format(record_of("a \ud800 b", **extras))

    assert "ud800" in line
    assert line.isascii()


def test_options_of_python_json_logger_shape_the_ordinary_lines() -> None:
    options = {"rename_fields": {}, "static_fields": {"app": "shop"}, "timestamp": False}
    line = printed(record_of(), fmt="{levelname}{lineno}", style="{", **options)

    assert {"levelname": "INFO", "lineno": 1, "app": "shop"} == line


def test_the_ids_of_the_filter_are_printed_in_ordinary_lines() -> None:
    record = record_of()
    AuditContextFilter().filter(record)

    assert ("-", "-") == (printed(record)["request_id"], printed(record)["agent_id"])


@pytest.mark.parametrize("key", ["()", "class"])
def test_dict_config_makes_it(key: str) -> None:
    stream = io.StringIO()
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"json": {key: "audit_handler.formatter.AuditJsonFormatter"}},
            "handlers": {
                "out": {"class": "logging.StreamHandler", "formatter": "json", "stream": stream}
            },
            "loggers": {"shop.lines": {"level": "INFO", "handlers": ["out"]}},
        }
    )
    logger = logging.getLogger("shop.lines")
    logger.info("paid", extra=AUDIT)
    logger.info("done")
    logger.handlers.clear()

    audit, ordinary = map(json.loads, stream.getvalue().splitlines())
    assert ("PAY", "done") == (audit["action"], ordinary["message"])


def test_file_config_makes_it(tmp_path: Path) -> None:
    ini, log = tmp_path / "logging.ini", tmp_path / "app.log"
    ini.write_text(
        f"""
[loggers]
keys=root,shop
[handlers]
keys=file
[formatters]
keys=json
[formatter_json]
class=audit_handler.formatter.AuditJsonFormatter
[logger_root]
handlers=
[logger_shop]
qualname=shop.lines
level=INFO
propagate=0
handlers=file
[handler_file]
class=FileHandler
args=({str(log)!r},)
formatter=json
"""
    )
    logging.config.fileConfig(ini, disable_existing_loggers=False)
    logger = logging.getLogger("shop.lines")
    logger.info("paid", extra=AUDIT)
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
        handler.close()
    logger.propagate = True

    assert "PAY" == json.loads(log.read_text())["action"]


def test_python_json_logger_is_loaded_by_this_module_only() -> None:
    program = "import sys, audit_handler; print('pythonjsonlogger' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert "False" == answer.stdout.strip()
