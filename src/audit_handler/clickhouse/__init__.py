"""
Connect to ClickHouse, insert rows, and look them up.

Only this folder imports the driver, and it does not know the spool. Nothing here is safe to call
from several threads: a connection belongs to the listener. The listener's thread also imports
driver and engine, because chDB starts threads on import, and hangs in a child that is forked later.
"""

from audit_handler.clickhouse._client import ClickHouse
from audit_handler.clickhouse._engine import EngineClosed
from audit_handler.clickhouse._protocols import Destination

__all__ = ["ClickHouse", "Destination", "EngineClosed"]
