"""Reports of trouble reach a person under any logging configuration, once."""

from __future__ import annotations

import io
import logging
import logging.config
import queue
import subprocess
import sys
from collections.abc import Callable, Iterator
from logging.handlers import MemoryHandler, QueueHandler, QueueListener
from typing import Any

import pytest

from audit_handler._reports import Reporter
from audit_handler.testing import capture_audits


class Deaf(logging.Handler):
    """As `AuditHandler`: it stores audit events and ignores reports."""

    ignores_reports = True

    def emit(self, record: logging.LogRecord) -> None:
        raise AssertionError(f"{record} is not for it")

    def handle(self, record: logging.LogRecord) -> bool:  # noqa: ARG002
        return True


class Raising(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise ValueError(record.getMessage())


class Overriding(logging.Handler):
    """Overrides `handle`, as some libraries do, and returns nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def handle(self, record: logging.LogRecord) -> None:  # type: ignore[override]
        self.messages.append(record.getMessage())


@pytest.fixture
def logger(request: pytest.FixtureRequest) -> Iterator[logging.Logger]:
    """A logger of the package for this test; nothing of pytest's takes its records."""
    logger = logging.getLogger(f"audit_handler.{request.node.name.partition('[')[0]}")
    root = logging.RootLogger(logging.WARNING)
    logger.parent = root
    yield logger
    logger.parent = logging.getLogger()
    logger.handlers.clear()
    logger.filters.clear()
    logger.setLevel(logging.NOTSET)
    logger.disabled = False


@pytest.fixture
def root(logger: logging.Logger) -> logging.Logger:
    assert logger.parent is not None
    return logger.parent


@pytest.fixture
def reporter(logger: logging.Logger) -> Reporter:
    return Reporter(logger.name)


@pytest.fixture
def page() -> logging.StreamHandler[io.StringIO]:
    """A handler of the application that a person reads."""
    return logging.StreamHandler(io.StringIO())


def test_a_warning_without_a_handler_goes_to_stderr(
    reporter: Reporter, capsys: pytest.CaptureFixture[str]
) -> None:
    reporter.warning("%d rows wait", 3)
    reporter.error("lost")
    reporter.info("all is well")

    assert "3 rows wait\nlost\n" == capsys.readouterr().err


def test_a_handler_that_takes_the_record_is_enough(
    reporter: Reporter,
    root: logging.Logger,
    page: logging.StreamHandler[io.StringIO],
    capsys: pytest.CaptureFixture[str],
) -> None:
    root.addHandler(page)
    root.addHandler(Deaf())
    reporter.warning("heard")

    assert ("heard\n", "") == (page.stream.getvalue(), capsys.readouterr().err)


def test_a_disabled_logger_reports_to_its_handlers(
    reporter: Reporter,
    logger: logging.Logger,
    root: logging.Logger,
    page: logging.StreamHandler[io.StringIO],
    capsys: pytest.CaptureFixture[str],
) -> None:
    logger.disabled = True
    root.setLevel(logging.INFO)
    root.addHandler(page)
    reporter.info("a change")
    reporter.warning("trouble")

    assert "a change\ntrouble\n" == page.stream.getvalue()
    assert "" == capsys.readouterr().err


def _deaf() -> logging.Handler:
    return Deaf()


def _null() -> logging.Handler:
    return logging.NullHandler()


def _too_high() -> logging.Handler:
    handler = logging.StreamHandler(io.StringIO())
    handler.setLevel(logging.CRITICAL)
    return handler


def _filtered() -> logging.Handler:
    handler = logging.StreamHandler(io.StringIO())
    handler.addFilter(lambda record: record.levelno > logging.ERROR)
    return handler


def _buffer() -> logging.Handler:
    return MemoryHandler(100, target=Deaf())


def _buffer_without_target() -> logging.Handler:
    return MemoryHandler(100)


def _known_queue() -> logging.Handler:
    handler = QueueHandler(queue.SimpleQueue())
    # As dictConfig sets it from Python 3.12 on.
    handler.listener = QueueListener(queue.SimpleQueue(), Deaf())  # type: ignore[attr-defined,unused-ignore]
    return handler


def _raising() -> logging.Handler:
    handler = Raising()
    handler.handleError = _raise  # type: ignore[method-assign]
    return handler


def _raise(record: logging.LogRecord) -> None:  # noqa: ARG001  # the name is logging's
    raise RuntimeError("a handler that does not catch its errors")


@pytest.mark.parametrize(
    "make",
    [
        _deaf,
        _null,
        _too_high,
        _filtered,
        _buffer,
        _buffer_without_target,
        _known_queue,
        _raising,
    ],
)
def test_a_handler_that_shows_the_record_to_no_person_is_not_enough(
    make: Callable[[], logging.Handler],
    reporter: Reporter,
    root: logging.Logger,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root.addHandler(make())
    reporter.error("lost %s", "rows")

    assert "lost rows\n" == capsys.readouterr().err


def test_the_captured_audits_of_a_test_do_not_swallow_reports(
    reporter: Reporter, logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    with capture_audits(logger):
        reporter.warning("trouble")

    assert "trouble\n" == capsys.readouterr().err


def test_a_handler_that_may_pass_the_record_on_is_enough(
    reporter: Reporter, root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing knows who listens to the queue; a line twice would be noise."""
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    overriding = Overriding()
    root.addHandler(QueueHandler(waiting))
    reporter.warning("queued")
    root.handlers = [overriding]
    reporter.warning("overridden")

    assert "queued" == waiting.get_nowait().getMessage()
    assert ["overridden"] == overriding.messages
    assert "" == capsys.readouterr().err


def test_a_level_above_the_report_on_our_logger_is_a_choice(
    reporter: Reporter, logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    logger.setLevel(logging.CRITICAL)
    reporter.error("lost")

    assert "" == capsys.readouterr().err


def test_an_inherited_level_keeps_a_warning_from_the_handlers_only(
    reporter: Reporter,
    root: logging.Logger,
    page: logging.StreamHandler[io.StringIO],
    capsys: pytest.CaptureFixture[str],
) -> None:
    root.addHandler(page)
    root.setLevel(logging.CRITICAL)
    reporter.error("lost")

    assert ("", "lost\n") == (page.stream.getvalue(), capsys.readouterr().err)


def test_logging_disable_keeps_a_warning_from_the_handlers_only(
    reporter: Reporter,
    logger: logging.Logger,
    page: logging.StreamHandler[io.StringIO],
    capsys: pytest.CaptureFixture[str],
) -> None:
    logger.addHandler(page)
    logger.setLevel(logging.INFO)
    logging.disable(logging.CRITICAL)
    try:
        reporter.info("a change")
        reporter.warning("trouble")
    finally:
        logging.disable(logging.NOTSET)

    assert ("", "trouble\n") == (page.stream.getvalue(), capsys.readouterr().err)


def test_a_filter_on_our_logger_is_a_choice(
    reporter: Reporter, logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    logger.addFilter(lambda record: "noise" not in record.getMessage())
    reporter.warning("noise")
    reporter.warning("trouble")

    assert "trouble\n" == capsys.readouterr().err


def test_a_filter_that_raises_does_not_swallow_the_report(
    reporter: Reporter, logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    logger.addFilter(lambda _record: bool(1 / 0))
    reporter.warning("trouble")

    assert "trouble\n" == capsys.readouterr().err


def test_a_null_handler_on_our_logger_is_a_choice(
    reporter: Reporter, logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    logger.addHandler(logging.NullHandler())
    reporter.error("lost")

    assert "" == capsys.readouterr().err


def test_a_logger_that_does_not_propagate_and_has_no_handler_goes_to_stderr(
    reporter: Reporter,
    logger: logging.Logger,
    root: logging.Logger,
    page: logging.StreamHandler[io.StringIO],
    capsys: pytest.CaptureFixture[str],
) -> None:
    root.addHandler(page)
    logger.propagate = False
    reporter.warning("trouble")
    logger.propagate = True

    assert ("", "trouble\n") == (page.stream.getvalue(), capsys.readouterr().err)


def test_a_report_has_the_place_and_the_exception_of_its_call(
    reporter: Reporter, logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[logging.LogRecord] = []

    def see(record: logging.LogRecord) -> bool:
        seen.append(record)
        return True

    logger.addFilter(see)
    try:
        raise KeyError("x")
    except KeyError as exc:
        reporter.exception("failed")
        reporter.error("failed too", exc_info=exc)
    printed = capsys.readouterr().err

    name = "test_a_report_has_the_place_and_the_exception_of_its_call"
    assert [(name, __file__)] * 2 == [(each.funcName, each.pathname) for each in seen]
    assert 2 == printed.count("KeyError: 'x'")


def test_tools_that_patch_logging_see_a_report(
    reporter: Reporter, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sentry patches ``Logger.callHandlers`` and reads the record there."""
    seen = []
    before = logging.Logger.callHandlers

    def patched(self: logging.Logger, record: logging.LogRecord) -> None:
        before(self, record)
        seen.append((self.name, record.getMessage()))

    monkeypatch.setattr(logging.Logger, "callHandlers", patched)
    reporter.error("lost")

    assert [(logger.name, "lost")] == seen


@pytest.mark.parametrize("stream", ["None", "closed"])
def test_a_report_without_a_stderr_does_not_raise(
    stream: str, reporter: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", None if stream == "None" else closed)

    reporter.error("lost")


def test_an_interruption_passes_through_a_report(reporter: Reporter, root: logging.Logger) -> None:
    class Interrupted(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:  # noqa: ARG002
            raise KeyboardInterrupt

    root.addHandler(Interrupted())

    with pytest.raises(KeyboardInterrupt):
        reporter.error("lost")


# Applications

DROPPED = "An audit row was dropped"

# Drops most of 400 rows: the spool is in memory and full, and nothing answers at the dsn.
APPLICATION = """
import logging, logging.config, sys
{before}
from audit_handler import AuditHandler
handler = AuditHandler(
    "http://127.0.0.1:1", spool_dir="memory", on_full="drop", batch_bytes=65_536,
    max_spool_bytes=65_536, shutdown_timeout=0
)
{after}
log = logging.getLogger("shop.audit")
log.disabled = log.propagate = False
log.setLevel("INFO")
log.addHandler(handler)
for _ in range(400):
    log.info("x", extra={{"action": "CREATE", "new_value": "y" * 1_000}})
status = handler.status()
assert status.rows_dropped > 100, status
assert status.rows_emitted + status.rows_dropped == 400, status
"""

DEFAULT = 'logging.config.dictConfig({"version": 1})'
CONSOLE = """
logging.config.dictConfig({
    "version": 1,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "INFO"},
})
"""
# As `django-admin startproject` and Django's documentation have it, with DEBUG = False.
DJANGO = """
class Off(logging.Filter):
    def filter(self, record): return False
logging.config.dictConfig({
    "version": 1,
    "filters": {"require_debug_true": {"()": Off}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "filters": ["require_debug_true"]},
        "mail_admins": {"class": "logging.NullHandler", "level": "ERROR"},
    },
    "root": {"handlers": ["console", "mail_admins"], "level": "INFO"},
    "loggers": {"django": {"handlers": ["console"], "level": "INFO"}},
})
"""
GUNICORN = """
from gunicorn.glogging import CONFIG_DEFAULTS
logging.config.dictConfig({**CONFIG_DEFAULTS, "disable_existing_loggers": True})
"""
UVICORN = """
from uvicorn.config import LOGGING_CONFIG
logging.config.dictConfig({**LOGGING_CONFIG, "disable_existing_loggers": True})
"""
FILE = """
import configparser, io
logging.config.fileConfig(io.StringIO('''
[loggers]
keys=root
[handlers]
keys=
[formatters]
keys=
[logger_root]
level=WARNING
handlers=
'''))
"""
ONLY_OURS = """
logging.basicConfig(handlers=[handler], level="INFO", force=True)
"""
SILENT_ROOT = """
logging.basicConfig(level="CRITICAL")
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("", "", id="nothing is configured"),
        pytest.param(DEFAULT, "", id="dictConfig before the import"),
        pytest.param("", DEFAULT, id="dictConfig after the import"),
        pytest.param(DEFAULT, DEFAULT, id="dictConfig twice"),
        pytest.param("", CONSOLE, id="dictConfig with a console"),
        pytest.param("", CONSOLE + CONSOLE, id="dictConfig with a console, twice"),
        pytest.param("", DJANGO, id="Django"),
        pytest.param("", GUNICORN, id="gunicorn"),
        pytest.param("", UVICORN, id="uvicorn"),
        pytest.param(FILE, "", id="fileConfig before the import"),
        pytest.param("", FILE, id="fileConfig after the import"),
        pytest.param("", ONLY_OURS, id="only our handler on the root logger"),
        pytest.param("", SILENT_ROOT, id="basicConfig with a high level"),
        pytest.param("logging.disable(10)", "", id="logging.disable"),
    ],
)
def test_a_drop_is_reported_once_whatever_logging_configuration_runs(
    before: str, after: str
) -> None:
    program = APPLICATION.format(before=before, after=after)
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert 0 == ended.returncode, ended.stderr
    # gunicorn's console handler writes to stdout.
    assert 1 == (ended.stdout + ended.stderr).count(DROPPED), ended.stderr
