"""Delivery from the spool to ClickHouse: a handler's pipeline, its listener, and one attempt."""
