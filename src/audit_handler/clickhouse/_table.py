"""The columns that an insert names: the standard ones, and those that the user added."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from audit_handler._reports import Reporter
from audit_handler.clickhouse._ask import ask
from audit_handler.clickhouse._codes import Code
from audit_handler.clickhouse._errors import about_no_row, mapped_errors
from audit_handler.clickhouse._event_times import EventTimes
from audit_handler.clickhouse._grants import denied
from audit_handler.clickhouse._limits import Limit, limit_of
from audit_handler.clickhouse._risks import warn_of_risks
from audit_handler.clickhouse._transport import transport_of
from audit_handler.errors import DataError, SetupError
from audit_handler.schema import OLDER_COLUMNS, WRITTEN_COLUMNS, is_older
from audit_handler.target import Target

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

__all__ = ["InsertColumns"]

_logger = Reporter("audit_handler.clickhouse")

_OUR_NAMES = frozenset((*WRITTEN_COLUMNS, "event_date", "ingested_at"))

# The standard columns whose types have limits. The handler keeps their values within them.
_OUR_TYPES = {"status_code": "UInt16", "response_time_ms": "UInt32", "seq": "UInt64"}
# A column that the user adds is filled within this time.
_READ_SECONDS = 60.0


class InsertColumns:
    """The columns that an insert into *target*'s table names, as the table was last described."""

    def __init__(
        self, target: Target, secrets: Collection[str], monotonic: Callable[[], float]
    ) -> None:
        self._target = target
        self._secrets = secrets
        self._monotonic = monotonic
        self._names: Sequence[str] = ()
        self._limits: list[Limit] = []
        self._times = EventTimes("")
        self._read_at = 0.0
        self._has_asked_for_risks = False
        self._denied_names: Sequence[str] = ()
        self.is_older = False
        """Whether the table has the layout of 2025."""

    @property
    def are_settled(self) -> bool:
        """False before `read` and after `forget`, and for an older table: it may be upgraded."""
        return bool(self._names) and not self.is_older

    @property
    def are_due(self) -> bool:
        """Whether it is time to see if the user has added a column."""
        return self._monotonic() >= self._read_at + _READ_SECONDS

    @property
    def names(self) -> Sequence[str]:
        return self._names

    @property
    def standard_names(self) -> Sequence[str]:
        """The standard columns that the table's layout has."""
        return OLDER_COLUMNS if self.is_older else WRITTEN_COLUMNS

    def forget(self) -> None:
        """Describe the table again before the next insert."""
        self._names = ()

    def read(self, client: Client) -> None:
        """
        Describe the table.

        Raises:
            SetupError: The table is missing, or lacks columns.
            TransientError: See `audit_handler.errors`.
        """
        # Forget the columns first: an error below must not leave those of an earlier state of the
        # table.
        self.forget()
        if not self._has_asked_for_risks:
            self._has_asked_for_risks = warn_of_risks(client, self._target, self._secrets)
        try:
            described = self._described(client)
        except SetupError as exc:
            if exc.code != Code.ACCESS_DENIED:
                raise
            self._names, self._limits, self._times = WRITTEN_COLUMNS, [], EventTimes("")
            self._read_at = self._monotonic()
            return
        defaults = {name: default for name, (_type, default) in described.items()}
        was_older, self.is_older = self.is_older, is_older(defaults)
        if self.is_older and not was_older:
            self._warn_of_older_layout()
        self._require(defaults)
        added = [
            name
            for name, default in defaults.items()
            if name not in _OUR_NAMES and default not in ("MATERIALIZED", "ALIAS")
        ]
        left_out = self._left_out(client, added)
        added = [name for name in added if name not in left_out]
        self._names = (*self.standard_names, *added)
        self._times = EventTimes(described["event_time"][0])
        self._limits = [
            limit
            for name in self._names
            if described[name][0] != _OUR_TYPES.get(name)
            and name != "event_time"  # The handler keeps it within any of the types.
            and (limit := limit_of(name, described[name][0]))
        ]
        self._read_at = self._monotonic()

    def check(self, lines: bytes, columns: Collection[str]) -> None:
        """
        Raise DataError for the first row with a value that ClickHouse would store as another one
        in one of *columns*, which the user added or whose type the user changed.
        """
        for limit in self._limits:
            if limit.name in columns:
                limit.check(lines)

    def with_times(self, lines: bytes) -> bytes:
        """Return *lines* with times that the table's column reads; mostly the same object."""
        return self._times.written(lines)

    @contextmanager
    def blamed(self, columns: Sequence[str]) -> Iterator[None]:
        """
        Add to a `DataError` the user's *columns* that may be its reason, and whether a table behind
        this one raised it, which counts only its own rows.
        """
        try:
            yield
        except DataError as exc:
            added = tuple(name for name in columns if name not in _OUR_NAMES)
            exc.added = added if exc.key is None else tuple({exc.key}.intersection(added))
            if exc.table not in ("", f"{self._target.database}.{self._target.table}"):
                # The shard on the server that got the insert; only others say that they are one.
                exc.row, exc.is_from_shard, exc.is_ambiguous = None, True, True
            raise

    def _left_out(self, client: Client, added: Sequence[str]) -> Sequence[str]:
        """Return those of the user's columns that the user of the dsn may not insert into."""
        table = f"`{self._target.database}`.`{self._target.table}`"
        try:
            with about_no_row(), mapped_errors(self._secrets, transport_of(client)):
                found = denied(client, table, added)
        except SetupError:
            # The server is too old for the question.
            found = []
        if found and found != self._denied_names:
            _logger.warning(
                "the columns %s of table %s.%s stay empty, because the user of the dsn may not "
                "insert into them; their values are in metadata. Grant INSERT on them, or on the "
                "table",
                ", ".join(found),
                self._target.database,
                self._target.table,
            )
        self._denied_names = found
        return found

    def _described(self, client: Client) -> Mapping[str, tuple[str, str]]:
        """Return the type, and the kind of default, of each column."""
        table = f"`{self._target.database}`.`{self._target.table}`"
        with about_no_row(), mapped_errors(self._secrets, transport_of(client)):
            rows = ask(client, f"DESCRIBE TABLE {table}", ["name", "type", "default_type"])
        return {row[0]: (row[1], row[2]) for row in rows}

    def _require(self, present: Collection[str]) -> None:
        missing = [name for name in self.standard_names if name not in present]
        if missing:
            raise SetupError(
                f"table {self._target.database}.{self._target.table} lacks the columns "
                f"{', '.join(missing)}",
                remedy="add them (ALTER TABLE ... ADD COLUMN, with the types of "
                "sql/node/2_table.sql) or use another table",
                code=Code.NO_SUCH_COLUMN_IN_TABLE,
            )

    def _warn_of_older_layout(self) -> None:
        _logger.warning(
            "table %s.%s has the layout of 2025: %s are not stored, and only a deduplication "
            "window of the table keeps a retry from doubling rows. Upgrade it with: "
            "audit-handler init",
            self._target.database,
            self._target.table,
            ", ".join(name for name in WRITTEN_COLUMNS if name not in OLDER_COLUMNS),
        )
