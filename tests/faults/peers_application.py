"""
The application of `tests.faults.peers`: logs numbered records with the library that is named.

``python peers_application.py LIBRARY ADDRESS DIRECTORY JOURNAL`` does what stdin says, and answers
each line: ``log FIRST COUNT``; ``fork FIRST COUNT exit|_exit`` lets a forked child log and end so.
At the end of stdin it ends as a program does that has nothing more to do. When a logger call has
returned, its number is appended to JOURNAL.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

LOG = logging.getLogger("peers")


def audit_handler(address: str, directory: Path) -> logging.Handler:
    from audit_handler import AuditHandler

    return AuditHandler(address, spool_dir=directory / "spool", create_table=True)


def opentelemetry(address: str, _: Path) -> logging.Handler:
    """As in the SDK's documentation; its provider shuts itself down at the end of the program."""
    from opentelemetry.exporter.otlp.proto.http._log_exporter import (
        OTLPLogExporter,
    )
    from opentelemetry.instrumentation.logging.handler import (
        LoggingHandler,
    )
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

    provider = LoggerProvider()
    provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(address)))
    handler: logging.Handler = LoggingHandler(logger_provider=provider)
    return handler


def logstash(address: str, directory: Path, *, database: bool = False) -> logging.Handler:
    """As in its documentation; ``logging.shutdown`` closes it at the end of the program."""
    from logstash_async.handler import (
        AsynchronousLogstashHandler,
    )

    host, port = address.split(":")
    path = str(directory / "logstash.db") if database else None
    handler: logging.Handler = AsynchronousLogstashHandler(host, int(port), database_path=path)
    return handler


def logstash_database(address: str, directory: Path) -> logging.Handler:
    return logstash(address, directory, database=True)


LIBRARIES = {
    "audit-handler": audit_handler,
    "OpenTelemetry SDK": opentelemetry,
    "python-logstash-async": logstash,
    "python-logstash-async, with database": logstash_database,
}


def main(library: str, address: str, directory: str, journal: str) -> None:
    LOG.setLevel(logging.INFO)
    LOG.addHandler(LIBRARIES[library](address, Path(directory)))
    acknowledged = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def log(first: str, count: str) -> None:
        for number in range(int(first), int(first) + int(count)):
            extra = {"action": "COUNT", "resource_type": "number", "resource_id": str(number)}
            LOG.info("n", extra=extra)
            os.write(acknowledged, b"%d\n" % number)

    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "log":
            log(*arguments)
        else:
            first, count, ending = arguments
            child = os.fork()
            if child == 0:
                log(first, count)
                if ending == "_exit":
                    os._exit(0)
                sys.exit(0)
            os.waitpid(child, 0)
        os.write(1, b"ok\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
