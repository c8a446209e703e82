"""
The other handlers that an application may choose, each delivering to nobody at no cost.

What is measured is the price that the caller pays, and each library's own thread beside it. Their
settings are the defaults of their documentation, but for where they send to.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

__all__ = ["NaiveBatchHandler", "logstash", "opentelemetry", "watchtower"]

Peer = tuple[logging.Handler, Callable[[], Any]]
"""A handler, and what waits until it has delivered all it was given."""


class NaiveBatchHandler(logging.Handler):
    """What many write by hand: a dict of the extras into a list, thrown away at a thousand."""

    _OWN = frozenset(vars(logging.makeLogRecord({})))

    def __init__(self) -> None:
        super().__init__()
        self._batch: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        row = {name: v for name, v in record.__dict__.items() if name not in self._OWN}
        row["message"] = record.getMessage()
        row["created"] = record.created
        self._batch.append(row)
        if len(self._batch) >= 1000:
            self._batch = []


def opentelemetry() -> Peer:
    """Return the SDK's batch processor, behind OpenTelemetry's own logging handler."""
    from opentelemetry.instrumentation.logging.handler import LoggingHandler
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import (
        BatchLogRecordProcessor,
        LogRecordExporter,
        LogRecordExportResult,
    )

    class Nowhere(LogRecordExporter):
        def export(self, batch: Sequence[Any]) -> LogRecordExportResult:  # noqa: ARG002
            return LogRecordExportResult.SUCCESS

        def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002
            return True

        def shutdown(self) -> None:
            pass

    provider = LoggerProvider()
    provider.add_log_record_processor(BatchLogRecordProcessor(Nowhere()))
    return LoggingHandler(logger_provider=provider), provider.force_flush


def logstash() -> Peer:
    """Return python-logstash-async with its queue in memory."""
    from logstash_async.handler import AsynchronousLogstashHandler

    class Nowhere:
        def send(self, events: Sequence[Any], *, use_logging: bool = False) -> None:
            pass

        def close(self) -> None:
            pass

    handler = AsynchronousLogstashHandler("127.0.0.1", 1, None, transport=Nowhere())
    return handler, handler.flush


def watchtower(attributes: Iterable[str]) -> Peer:
    """Return watchtower with its queues, set up to send *attributes* of each record as JSON."""
    from watchtower import CloudWatchLogFormatter, CloudWatchLogHandler

    class Client:
        def __getattr__(self, _: str) -> Callable[..., dict[str, Any]]:
            return lambda **_: {}

    handler = CloudWatchLogHandler(
        boto3_client=Client(), create_log_group=False, create_log_stream=False
    )
    handler.setFormatter(CloudWatchLogFormatter(add_log_record_attrs=tuple(attributes)))
    return handler, handler.flush
