"""
Handlers of other libraries, with receivers that accept everything at no cost.

The benchmarks measure the cost for the caller, and for the thread of each library. The settings are
the defaults of the documentation, except for the receiver.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

__all__ = ["NaiveBatchHandler", "logstash", "opentelemetry", "watchtower"]

# A handler, and a function that waits until the handler has delivered its records.
Peer = tuple[logging.Handler, Callable[[], Any]]


class NaiveBatchHandler(logging.Handler):
    """A common hand-written handler: append a dict of the extras, drop the list at a thousand."""

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
    """Return the batch processor of the SDK, behind OpenTelemetry's logging handler."""
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
    """Return watchtower with its queues, configured to send *attributes* of each record as JSON."""
    from watchtower import CloudWatchLogFormatter, CloudWatchLogHandler

    class Client:
        def __getattr__(self, _: str) -> Callable[..., dict[str, Any]]:
            return lambda **_: {}

    handler = CloudWatchLogHandler(
        boto3_client=Client(), create_log_group=False, create_log_stream=False
    )
    handler.setFormatter(CloudWatchLogFormatter(add_log_record_attrs=tuple(attributes)))
    return handler, handler.flush
