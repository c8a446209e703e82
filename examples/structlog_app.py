"""
structlog in front: its events become audits through the standard library's logging.

    pip install structlog
    CLICKHOUSE_URL=chdb://$PWD/audit-data/clickhouse python examples/structlog_app.py
"""

from __future__ import annotations

import logging

import structlog

from audit_handler import AuditContextFilter, AuditHandler

# 1. The standard library's side: the audit handler, and a console for everything.

console = logging.StreamHandler()
console.setFormatter(logging.Formatter("%(levelname)s [%(agent_id)s] %(message)s"))
console.addFilter(AuditContextFilter())
logging.basicConfig(level=logging.INFO, handlers=[console, AuditHandler(service_name="shop")])

# 2. structlog's side. render_to_log_kwargs comes last and makes the key-value pairs extras, which
#    is where the handler looks. What is bound with structlog.contextvars is among them.

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
    order.info("looked up")  # has no action: a line on the console, no audit
    try:
        raise TimeoutError("the warehouse does not answer")
    except TimeoutError:
        order.exception("cancelled", action="CANCEL", reason=reason, new_value={"status": "gone"})


if __name__ == "__main__":
    with structlog.contextvars.bound_contextvars(agent_id="u-1", request_id="r-9"):
        cancel(17, reason="out of tea")
