"""The statements of the page about events on the standard library."""

from __future__ import annotations

import logging
import sys
from typing import Any

from audit_handler.testing import capture_audits


def test_a_logger_adapter_keeps_the_extra_of_a_call_from_python_3_13_if_it_is_told_to() -> None:
    can_merge = sys.version_info >= (3, 13)
    options: dict[str, Any] = {"merge_extra": True} if can_merge else {}
    adapter = logging.LoggerAdapter(logging.getLogger("shop"), {"agent_id": "u-3"}, **options)
    with capture_audits() as audits:
        adapter.info("paid", extra={"action": "PAY"})

    assert ([("PAY", "u-3")] if can_merge else []) == [
        (row["action"], row["agent_id"]) for row in audits
    ]
