"""
ClickHouse's error codes, sorted by what can be done about them.

Names and numbers: ``src/Common/ErrorCodes.cpp`` of ClickHouse; which of them an insert of
JSONEachRow meets was tried on engine 26.9. A code in none of the sets counts as retryable: waiting
loses nothing, dropping would.
"""

from __future__ import annotations

__all__ = ["DATA_CODES", "SETUP_REMEDIES", "TOO_MANY_PARTS", "VIEW_THREW", "remedy"]

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


def remedy(code: int) -> str | None:
    """Return what an operator must do about *code*, or None when it is not one of those."""
    return SETUP_REMEDIES.get(code)
