"""
loguru: a sink passes its messages to the standard library's logging.

    pip install loguru
    CLICKHOUSE_URL=chdb://$PWD/audit-data/clickhouse python examples/loguru_app.py

A handler can also be a sink itself. But loguru then stores all bound values in one attribute named
``extra``, and the audit handler expects one attribute for each value.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from loguru import logger

from audit_handler import AuditHandler

if TYPE_CHECKING:
    from loguru import Message, Record

audits = logging.getLogger("audit")
audits.setLevel(logging.INFO)
audits.addHandler(AuditHandler(service_name="shop"))


def is_audit(record: Record) -> bool:
    return "action" in record["extra"]


def to_logging(message: Message) -> None:
    record = message.record
    failure = record["exception"]
    audits.log(
        record["level"].no,
        # The message is not the format: it may hold a percent sign.
        "%s",
        record["message"],
        exc_info=failure.value if failure else None,
        extra={**record["extra"], "event_time": record["time"]},
    )


# Without enqueue the sink runs in the caller's thread, and the row is in the spool when the call
# returns. With catch=False, on_full="raise" reaches the caller. The sink on stderr stays.
logger.add(to_logging, level="INFO", filter=is_audit, format="{message}", catch=False)


def refund(number: int) -> None:
    order = logger.bind(resource_type="order", resource_id=number)
    order.info("looked up")  # no action, so no audit event
    try:
        raise ConnectionError("the bank does not answer")
    except ConnectionError:
        order.bind(action="REFUND", old_value={"paid": 12}).exception("refund of 100% failed")


if __name__ == "__main__":
    with logger.contextualize(agent_id="u-1", request_id="r-9"):
        refund(17)
