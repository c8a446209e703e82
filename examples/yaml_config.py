"""
A program that configures its logging, with the audit handler, from a YAML file.

    pip install pyyaml
    CLICKHOUSE_URL=chdb://$PWD/audit-data/clickhouse python examples/yaml_config.py
"""

from __future__ import annotations

import logging.config
from pathlib import Path

import yaml

from audit_handler import bound

logging.config.dictConfig(yaml.safe_load(Path(__file__).with_name("logging.yaml").read_text()))

log = logging.getLogger("shop.prices")


@bound(agent_id="nightly-prices", request_id="run-1")
def raise_prices() -> None:
    """Every log line and audit event of a call carries the user and the run."""
    log.info("the prices rise")
    log.info(
        "price raised",
        extra={
            "action": "UPDATE",
            "resource_type": "price",
            "resource_id": "assam",
            "old_value": {"price": 4.20},
            "new_value": {"price": 4.50},
        },
    )


if __name__ == "__main__":
    raise_prices()
    # The handler delivers the waiting rows when the program ends.
