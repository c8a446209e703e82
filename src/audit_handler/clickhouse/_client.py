"""One table of one server, or of embedded chDB: connect, insert, look up."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

from audit_handler._reports import Reporter
from audit_handler.clickhouse._acknowledgement import ForeignAnswer
from audit_handler.clickhouse._codes import Code
from audit_handler.clickhouse._connect import connect
from audit_handler.clickhouse._engine import EngineClosed, engine
from audit_handler.clickhouse._errors import (
    Sent,
    about_no_row,
    mapped_errors,
    with_own_remedy,
)
from audit_handler.clickhouse._insert import (
    insert_file,
    insert_lines,
    insert_settings,
    post,
    post_to_nothing,
    profile_settings,
)
from audit_handler.clickhouse._look_up import LookUp
from audit_handler.clickhouse._table import InsertColumns
from audit_handler.clickhouse._transport import Transport, transport_of
from audit_handler.errors import DataError, DeliveryError, SetupError
from audit_handler.schema import statements
from audit_handler.target import Target

if TYPE_CHECKING:
    from pathlib import Path

    from clickhouse_connect.driver.client import Client

__all__ = ["ClickHouse"]

_logger = Reporter("audit_handler.clickhouse")

# Errors of DDL by a user without the grant, or under a profile that forbids it.
_MAY_NOT_CREATE = frozenset({Code.ACCESS_DENIED, Code.QUERY_IS_PROHIBITED, Code.READONLY})


class ClickHouse:
    """
    One table of one server, or of embedded chDB. Connects on first use, and describes the table
    again after a set-up error, and once a minute, for a column that the user has added.

    Args:
        target: The table and how to reach it.
        create_table: Run ``sql/`` before the first insert, and again after a set-up error.
        async_insert: Let the server gather inserts of many writers. Each insert still waits for its
            acknowledgement.
        monotonic: Returns seconds that never step back.
    """

    def __init__(
        self,
        target: Target,
        *,
        create_table: bool,
        async_insert: bool,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._target = target
        self._secrets = target.secrets()
        self._table = f"`{target.database}`.`{target.table}`"
        self._create_table = create_table
        self._settings = insert_settings(async_insert=async_insert)
        self._client: Client | None = None
        self._columns = InsertColumns(target, self._secrets, monotonic)
        self._look_up = LookUp(target, self._errors, self._is_said_by_clickhouse)
        self._was_denied = False

    @property
    def can_look_up(self) -> bool:
        """
        False while ClickHouse rejects the look-up, and for a table with the layout of 2025. Then
        only the token prevents duplicates.
        """
        return self._look_up.is_possible and not self._columns.is_older

    @property
    def reads_files(self) -> bool:
        """Whether `insert` uses *path*. Without one, chDB leaves copies of audit data behind."""
        return self._target.is_embedded

    def insert(
        self,
        lines: bytes,
        *,
        token: str,
        path: Path | None = None,
        without: Collection[str] = (),
        ignores_views: bool = False,
        alone: bool = False,
        rows: int | None = None,
    ) -> None:
        """
        Insert NDJSON rows as one block. When this returns, ClickHouse has acknowledged all of them.

        Args:
            lines: The rows, one JSON object a line, at most 8 MiB.
            token: Deduplication token: a second insert with the same token stores nothing.
            path: A file with exactly *lines*. chDB reads it in place; a server does not need it.
            without: Columns that the user added and the insert does not name, so that they reject
                no row.
            ignores_views: Store the rows also if a materialized view fails.
            alone: Do not let the server gather the rows with those of other writers.
            rows: The number of *lines*; without it they are counted.

        Raises:
            UnconfirmedError: What answered does not acknowledge each of the rows.
            TransientError, SetupError, DataError, ViewError: See `audit_handler.errors`.
        """
        client = self._prepared()
        columns = [name for name in self._columns.names if name not in without]
        rows = lines.count(b"\n") if rows is None else rows
        settings = {
            **self._settings,
            **profile_settings(client),
            "insert_deduplication_token": token,
        }
        if ignores_views:
            settings["materialized_views_ignore_errors"] = 1
        if alone:
            settings["async_insert"] = 0
        try:
            self._send(client, columns, lines, rows, path, settings)
        except DataError as exc:
            exc.may_be_of_others = bool(settings["async_insert"]) and not exc.is_too_large
            raise

    def _send(
        self,
        client: Client,
        columns: Sequence[str],
        lines: bytes,
        rows: int,
        path: Path | None,
        settings: dict[str, Any],
    ) -> None:
        written = self._columns.with_times(lines)
        lines, path = written, path if written is lines else None
        sent = Sent(lines, ignores_views="materialized_views_ignore_errors" in settings)
        with self._columns.blamed(columns), self._errors(sent):
            self._columns.check(lines, columns)
            if not self._target.is_embedded:
                post(client, self._table, columns, lines, rows, settings, self._secrets)
            elif path is not None:
                insert_file(client, self._table, columns, path, settings)
            else:
                insert_lines(client, self._table, columns, lines, rows, settings)

    def stored(
        self, writer_id: str, first_seq: int, last_seq: int, lines: bytes
    ) -> set[int] | None:
        """
        Return which of the rows *first_seq* to *last_seq* of *writer_id* are stored, or None if
        ClickHouse rejects the look-up, a row policy hides rows, or the table has the layout of
        2025.

        Args:
            lines: The rows themselves; their days limit the query to a few partitions.

        Raises:
            TransientError, SetupError: See `audit_handler.errors`.
        """
        client = self._prepared()
        if self._columns.is_older:
            return None
        return self._look_up.stored(client, writer_id, first_seq, last_seq, lines)

    def hides_rows(self) -> bool:
        """
        Return whether a row policy hides rows of the table from this user's look-ups.

        Raises:
            TransientError: See `audit_handler.errors`.
        """
        return self._look_up.hides_rows(self._prepared())

    def refuses_size(self, lines: bytes) -> bool:
        """
        Return whether a proxy on the way refuses a request as large as the insert of *lines*. It is
        asked with a request that stores nothing.
        """
        try:
            # The names of the columns count too, and a new connection does not know them yet.
            client = self._prepared()
            with self._errors():
                settings = {**self._settings, **profile_settings(client)}
                post_to_nothing(client, self._table, self._columns.names, lines, settings)
        except DataError as exc:
            return exc.is_too_large
        except DeliveryError:
            return False
        return False

    def _is_said_by_clickhouse(self, code: int) -> bool:
        answer = self._transport.answer if self._transport else None
        return answer is None or answer.says(code)

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """
        Return the rows of a SELECT, by column name.

        Args:
            parameters: Values for each ``{name:Type}`` in *sql*; the server fills them in. Times
                are text in UTC, ``2026-11-23 04:05:06.123456``.

        Raises:
            TransientError, SetupError, DataError: See `audit_handler.errors`.
        """
        client = self._connected()
        with self._errors():
            return list(client.query(sql, dict(parameters or {})).named_results())

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        """
        Run a statement that returns no rows, with *parameters* as for `query`.

        Raises:
            TransientError, SetupError, DataError: See `audit_handler.errors`.
        """
        client = self._connected()
        with self._errors():
            client.command(sql, dict(parameters or {}), use_database=False)
            answer = self._transport.answer if self._transport else None
            # A proxy may remove the headers, but not write a page.
            if answer is not None and (
                answer.has_exception or (not answer.is_own and answer.body.strip())
            ):
                raise ForeignAnswer(answer)

    def create_table(self) -> None:
        """
        Run ``sql/``: create database and table, or a cluster's tables, where one is missing. Go on
        where the user may not, because it may exist; the log says so once.

        Raises:
            TransientError, SetupError: See `audit_handler.errors`.
        """
        denied: SetupError | None = None
        for statement in statements(self._target):
            try:
                with about_no_row():
                    self.command(statement)
                denied = None
            except SetupError as exc:
                if exc.code not in _MAY_NOT_CREATE:
                    raise
                denied = exc
        if denied and not self._was_denied:
            _logger.warning(
                "create_table is on, but the user may not create the table: %s. One that exists is "
                "used",
                denied.problem,
            )
        self._was_denied = denied is not None

    def close(self) -> None:
        """Close the connection, or the engine. The next call opens it again."""
        client, self._client = self._client, None
        self._columns.forget()
        if client is not None:
            transport = transport_of(client)
            with suppress(EngineClosed), self._errors():  # The end closes it.
                client.close()
            if transport is not None:
                transport.close()

    @property
    def _transport(self) -> Transport | None:
        return None if self._client is None else transport_of(self._client)

    @contextmanager
    def _errors(self, sent: Sent | None = None) -> Iterator[None]:
        try:
            with self._inside(), mapped_errors(self._secrets, self._transport, sent or Sent()):
                yield
        except SetupError as exc:
            # An operator may have changed the table before the next attempt.
            self._columns.forget()
            fault = with_own_remedy(exc, self._target)
            if fault is exc:
                raise
            raise fault from exc

    def _inside(self) -> AbstractContextManager[None]:
        return engine.use() if self._target.is_embedded else nullcontext()

    def _prepared(self) -> Client:
        """Return a connected client, after the columns of the table are known."""
        client = self._connected()
        are_unknown = not self._columns.are_settled
        if are_unknown and self._create_table:
            self.create_table()
        if are_unknown or self._columns.are_due:
            with self._inside():
                self._columns.read(client)
        return client

    def _connected(self) -> Client:
        if self._client is None:
            self._client = connect(self._target, self._secrets)
        return self._client
