"""The steps of ``audit-handler check`` about the server: connection, clock, database."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from audit_handler._operations.check_spool import FAILED, OK, WARNING, Finding
from audit_handler._operations.check_table import INIT
from audit_handler._operations.embedded import is_open_to_others, require_directory
from audit_handler.schema import Client, existing_table
from audit_handler.target import Target

__all__ = ["ServerSteps"]

# NTP keeps clocks closer than this even on a bad day.
_SKEW_SECONDS = 2.0


class ServerSteps:
    """
    Ask the server of *target*.

    Args:
        connection: To the server.
        target: Where the rows go.
        now: Returns Unix seconds.
    """

    def __init__(self, connection: Client, target: Target, now: Callable[[], float]) -> None:
        self._connection = connection
        self._target = target
        self._now = now

    def connection(self) -> Iterator[Finding]:
        """Report the server, its version and the user."""
        require_directory(self._target)
        (row,) = self._connection.query("SELECT version() AS version, currentUser() AS user")
        detail = f"{self._target.location}, ClickHouse {row['version']}, as {row['user']}"
        yield Finding(step="connection", state=OK, detail=detail)
        if is_open_to_others(self._target):
            yield Finding(
                step="connection",
                state=WARNING,
                detail=f"other users may read the database in {self._target.path}",
                remedy=f"chmod 700 {self._target.path}",
            )

    def clock(self) -> Iterator[Finding]:
        """Compare the server's clock with this machine's."""
        if self._target.is_embedded:
            return
        before = self._now()
        (row,) = self._connection.query("SELECT toUnixTimestamp64Micro(now64(6)) AS now")
        after = self._now()
        # The server read its clock at some moment between the two.
        skew = row["now"] / 1e6 - (before + after) / 2
        certain = abs(skew) - (after - before) / 2
        detail = f"the server's clock is {abs(skew):.1f} s {'ahead' if skew > 0 else 'behind'}"
        if certain > _SKEW_SECONDS:
            yield Finding(
                step="clock",
                state=WARNING,
                detail=detail,
                remedy="synchronize both clocks with NTP: an investigation compares the times of "
                "several machines, and a time more than a day ahead is not stored as event_time",
            )
        else:
            yield Finding(step="clock", state=OK, detail=detail)

    def database(self) -> Iterator[Finding]:
        """Check whether this user sees the database."""
        # The target's own database comes first: a server may have more than are shown.
        names = self._connection.query(
            "SELECT name FROM system.databases "
            "WHERE lower(name) NOT IN ('system', 'information_schema') "
            "ORDER BY name != {database:String}, name LIMIT 50",
            {"database": self._target.database},
        )
        visible = ", ".join(row["name"] for row in names) or "none"
        if any(row["name"] == self._target.database for row in names) or existing_table(
            self._connection, self._target.database, self._target.table
        ):
            yield Finding(step="database", state=OK, detail=f"visible: {visible}")
            return
        yield Finding(
            step="database",
            state=FAILED,
            detail=f"{self._target.database} is missing, or not visible to this user; "
            f"visible: {visible}",
            remedy=f"{INIT}; check the database in the dsn; a user sees a database once it has a "
            "grant in it (sql/access/)",
        )
