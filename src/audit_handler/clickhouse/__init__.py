"""
ClickHouse: connect, insert, look up. The only folder that imports the driver, and it knows nothing
of the disk.

Not safe to call from several threads: it belongs to the listener, which also is the one that
imports driver and engine (chDB starts threads on import, and a forked child of a process that has
imported it hangs in it).
"""

from audit_handler.clickhouse._client import ClickHouse
from audit_handler.clickhouse._protocols import Destination

__all__ = ["ClickHouse", "Destination"]
