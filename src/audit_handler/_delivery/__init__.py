"""
From the spool to ClickHouse: the listener, one attempt, and what a handler has while it is open.
"""
