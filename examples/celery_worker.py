"""
A Celery worker with tasks that write audit events.

    pip install celery
    CLICKHOUSE_URL=http://user:password@host:8123/audit_db CELERY_BROKER_URL=amqp://... \\
        celery -A examples.celery_worker worker --concurrency 2

The handler is created once, in the first process of the worker, and survives each fork: every child
of the pool has its own writer and its own listener thread. Several processes need a ClickHouse
server; embedded chDB serves only one.
"""

from __future__ import annotations

import logging.config
from typing import Any

from celery import Celery, Task
from celery.signals import setup_logging, worker_process_shutdown

from audit_handler import AuditHandler, bound

app = Celery("shop")  # the broker comes from CELERY_BROKER_URL

log = logging.getLogger("shop.orders")


@setup_logging.connect
def configure_logging(**_options: Any) -> None:
    """Configure logging. A receiver of this signal keeps Celery from replacing the handlers."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"context": {"()": "audit_handler.AuditContextFilter"}},
            "formatters": {"line": {"format": "%(levelname)s [%(request_id)s] %(message)s"}},
            "handlers": {
                "console": {
                    "class": "logging.StreamHandler",
                    "formatter": "line",
                    "filters": ["context"],
                },
                "audit": {"class": "audit_handler.AuditHandler", "service_name": "shop-worker"},
            },
            "root": {"level": "INFO", "handlers": ["console", "audit"]},
        }
    )


@worker_process_shutdown.connect
def deliver(**_options: Any) -> None:
    """
    Deliver the waiting rows.

    Children of the pool end without exit hooks. Without this call no row is lost, but the last rows
    wait for the next start.
    """
    for handler in logging.getLogger().handlers:
        if isinstance(handler, AuditHandler):
            handler.close()


class AuditedTask(Task):
    """
    A task that adds its id, and the user that the caller names, to log lines and audit events.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        headers = self.request.headers or {}
        with bound(request_id=self.request.id, agent_id=headers.get("agent_id")):
            return super().__call__(*args, **kwargs)


@app.task(base=AuditedTask)
def ship(number: int) -> None:
    log.info("the parcel is packed")
    log.info(
        "order shipped",
        extra={"action": "SHIP", "resource_type": "order", "resource_id": number},
    )


if __name__ == "__main__":
    ship.apply_async(args=[17], headers={"agent_id": "u-1"})
