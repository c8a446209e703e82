"""
loguru in front: a sink hands its messages to the standard library's logging.

    pip install loguru
    CLICKHOUSE_URL=chdb://$PWD/audit-data/clickhouse python examples/loguru_app.py

A handler can be a sink itself, but loguru then puts all that was bound into one attribute named
``extra``, and the audit handler looks for each by its own name.
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
    audits.log(
        record["level"].no,
        # Not as a format: the text may hold a percent sign.
        "%s",
        record["message"],
        exc_info=record["exception"],
        extra={**record["extra"], "event_time": record["time"]},
    )


# In the caller's thread (no enqueue), so that the row is in the spool when the call returns;
# catch=False, so that on_full="raise" reaches the caller. The sink on stderr stays as it is.
logger.add(to_logging, level="INFO", filter=is_audit, format="{message}", catch=False)


def refund(number: int) -> None:
    order = logger.bind(resource_type="order", resource_id=number)
    order.info("looked up")  # has no action: no audit
    try:
        raise ConnectionError("the bank does not answer")
    except ConnectionError:
        order.bind(action="REFUND", old_value={"paid": 12}).exception("refund of 100% failed")


if __name__ == "__main__":
    with logger.contextualize(agent_id="u-1", request_id="r-9"):
        refund(17)
