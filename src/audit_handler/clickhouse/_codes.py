"""
ClickHouse's error codes, sorted by what can be done about them.

Names and numbers: ``src/Common/ErrorCodes.cpp`` of ClickHouse; which of them an insert of
JSONEachRow meets was tried on engine 26.9. A code in none of the sets counts as retryable: waiting
loses nothing, dropping would.
"""

from __future__ import annotations

__all__ = [
    "DATA_CODES",
    "HTTP_REMEDIES",
    "SETUP_REMEDIES",
    "TOO_MANY_PARTS",
    "TRANSIENT_REMEDIES",
    "VIEW_THREW",
]

TOO_MANY_PARTS = 252
"""
Overload; but with "Too many partitions" in its text a fault of the data, the one case where the
text decides.
"""
VIEW_THREW = 395
"""
A function threw. Inside a materialized view that happens after the rows themselves are stored.
"""

DATA_CODES = frozenset(
    {
        6,
        25,
        26,
        27,
        32,
        33,
        38,
        41,
        53,
        69,
        70,
        72,
        117,
        130,
        131,
        190,
        248,
        306,
        321,
        349,
        376,
        395,
        407,
        441,
        467,
        469,
    }
    | {563, 565, 626, 632, 645, 675, 676, 691, 718, 760}
)
"""Some row cannot be taken, now or later; nothing of the insert was stored."""

_GRANT = "grant INSERT on the table, and SELECT(writer_id, seq, event_date), to the user of the dsn"
_COLUMNS = (
    "bring the table up to date (compare it with sql/node/2_table.sql); a dropped column "
    "must come back"
)

SETUP_REMEDIES: dict[int, str] = {
    16: _COLUMNS,
    47: _COLUMNS,
    44: _COLUMNS,
    60: "create the table with: audit-handler init (or run sql/node/*.sql with clickhouse-client)",
    81: (
        "create the database and table with: audit-handler init (or run sql/node/*.sql with "
        "clickhouse-client)"
    ),
    115: "the server does not know a setting: see client_options, or upgrade the server",
    164: "the user or its profile is readonly: use one that may insert",
    192: "check the user in the dsn or CLICKHOUSE_USER",
    193: "check the password in the dsn, CLICKHOUSE_PASSWORD or CLICKHOUSE_PASSWORD_FILE",
    194: "give a password in the dsn, CLICKHOUSE_PASSWORD or CLICKHOUSE_PASSWORD_FILE",
    195: "check where the user may connect from",
    291: "the database denies access to this user",
    452: (
        "the user's profile forbids changing a setting; allow insert_deduplication_token and "
        "async_insert"
    ),
    497: _GRANT,
    516: (
        "check user and password in the dsn, CLICKHOUSE_USER, CLICKHOUSE_PASSWORD or "
        "CLICKHOUSE_PASSWORD_FILE"
    ),
    **dict.fromkeys(
        (
            20,
            36,
            46,
            48,
            50,
            62,
            73,
            80,
            180,
            199,
            218,
            344,
            392,
            471,
            472,
            492,
            511,
            561,
            618,
            701,
            720,
            763,
            774,
            1016,
        ),
        "see the server's message; rows are kept and sent once it is mended",
    ),
}
"""Codes that only an operator can mend, each with what to do."""

_KEEPER = "the replica has lost Keeper: see system.replicas, and whether Keeper runs"
_SHARD = (
    "start the shard, or see the cluster in system.clusters; nothing is acknowledged until then"
)
_PROXY = "see the proxy between here and ClickHouse, and whether ClickHouse runs behind it"
_LOAD = "the server has too much to do; see system.processes"

TRANSIENT_REMEDIES: dict[int, str] = {
    159: f"{_LOAD}, and max_execution_time of the user's profile",
    201: "the user's quota is used up: wait for its next interval, or raise it",
    202: f"{_LOAD}, and max_concurrent_queries",
    209: _SHARD,
    210: _SHARD,
    225: _KEEPER,
    241: "give the server more memory, or send less at once: a smaller batch_bytes",
    242: _KEEPER,
    243: "make room on the server's disk",
    252: (
        "send fewer and larger inserts: raise batch_size and flush_interval_ms, or turn on "
        "async_insert; see too whether merges keep up (system.merges)"
    ),
    279: _SHARD,
    285: "start the replicas that insert_quorum waits for",
    999: _KEEPER,
}
"""Codes of failures that may pass by themselves, and what to do where one does not."""

HTTP_REMEDIES: dict[int, str] = {
    408: _PROXY,
    429: f"{_LOAD}; or a proxy between here and it allows no more requests",
    500: _PROXY,
    502: _PROXY,
    503: _PROXY,
    504: f"{_PROXY}, and how long the proxy waits for an answer",
}
"""The same for the status of an answer that is not ClickHouse's own."""
