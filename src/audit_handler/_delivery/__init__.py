"""Delivery from the spool to ClickHouse: the pipeline of a handler, its listener, one attempt."""
