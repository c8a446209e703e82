"""
structlog: its events become audit events through the standard library's logging.

    pip install structlog
    CLICKHOUSE_URL=chdb://$PWD/audit-data/clickhouse python examples/structlog_app.py
"""

from __future__ import annotations

import logging

import structlog

from audit_handler import AuditContextFilter, AuditHandler

# 1. The standard library: the audit handler, and a console for every record.

console = logging.StreamHandler()
console.setFormatter(logging.Formatter("%(levelname)s [%(agent_id)s] %(message)s"))
console.addFilter(AuditContextFilter())
logging.basicConfig(level=logging.INFO, handlers=[console, AuditHandler(service_name="shop")])

# 2. structlog. render_to_log_kwargs comes last and turns the key-value pairs into extras, which the
#    handler reads. They include the values that are bound with structlog.contextvars.

structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.filter_by_level,
        structlog.stdlib.render_to_log_kwargs,
    ],
    wrapper_class=structlog.stdlib.BoundLogger,
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)

log = structlog.get_logger("shop.orders")


def cancel(number: int, reason: str) -> None:
    order = log.bind(resource_type="order", resource_id=number)
    order.info("looked up")  # no action: a line on the console, no audit event
    try:
        raise TimeoutError("the warehouse does not answer")
    except TimeoutError:
        order.exception("cancelled", action="CANCEL", reason=reason, new_value={"status": "gone"})


if __name__ == "__main__":
    with structlog.contextvars.bound_contextvars(agent_id="u-1", request_id="r-9"):
        cancel(17, reason="out of tea")
