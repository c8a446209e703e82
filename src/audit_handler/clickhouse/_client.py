"""One table of one server, or of embedded chDB: connect, insert, look up."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from audit_handler.clickhouse._errors import mapped_errors, shown
from audit_handler.clickhouse._loading import load_driver, zstd
from audit_handler.errors import SetupError
from audit_handler.schema import OLDER_COLUMNS, WRITTEN_COLUMNS, is_older, statements
from audit_handler.target import Target

if TYPE_CHECKING:
    from pathlib import Path

    from clickhouse_connect.driver.client import Client

__all__ = ["ClickHouse"]

_logger = logging.getLogger("audit_handler.clickhouse")

_SEND_RECEIVE_SECONDS = 60
# The driver's default is 300; an insert of 8 MiB takes well under a second, and a hanging one holds
# up all the others.
_DAY = re.compile(
    rb'^\{"writer_id":"[^"]*","seq":\d+,"event_time":"(\d{4}-\d\d-\d\d)', re.MULTILINE
)


class ClickHouse:
    """
    One table of one server, or of embedded chDB. Connects on first use, and again after a set-up
    error.

    Args:
        target: The table and how to reach it.
        create_table: Run ``sql/`` on connecting.
        async_insert: Let the server gather inserts of many writers; the acknowledgement is waited
            for all the same.
        after_connect: Called after each connect.
    """

    def __init__(
        self,
        target: Target,
        *,
        create_table: bool,
        async_insert: bool,
        after_connect: Callable[[], None] | None = None,
    ) -> None:
        self._target = target
        self._secrets = target.secrets()
        self._create_table = create_table
        self._settings = insert_settings(async_insert=async_insert)
        self._after_connect = after_connect
        self._client: Client | None = None
        self._columns: Sequence[str] | None = None
        self._is_older = False
        self._may_look_up = True

    @property
    def can_look_up(self) -> bool:
        """
        False while the server refuses the look-up, and for a table with the layout of 2025;
        deduplication then rests on the token alone.
        """
        return self._may_look_up and not self._is_older

    def insert(
        self, lines: bytes, *, token: str, path: Path | None = None, is_standard: bool = False
    ) -> None:
        """
        Insert NDJSON rows as one block. When this returns, ClickHouse has acknowledged all of them.

        Args:
            lines: The rows, one JSON object a line, at most 8 MiB.
            token: Deduplication token: an insert with a token that was stored before stores
                nothing.
            path: A file with exactly *lines*, which chDB reads in place; its driver would leave
                copies behind.
            is_standard: Name only the standard columns, so that no column added by the user can
                refuse a row.

        Raises:
            TransientError, SetupError, DataError: See there.
        """
        client, columns = self._prepared()
        if is_standard:
            columns = OLDER_COLUMNS if self._is_older else WRITTEN_COLUMNS
        settings = {**self._settings, "insert_deduplication_token": token}
        table = f"`{self._target.database}`.`{self._target.table}`"
        with self._errors():
            if self._target.is_embedded and path is not None:
                names = ", ".join(f"`{name}`" for name in columns)
                values = ", ".join(
                    f"{name} = {_literal(value)}" for name, value in settings.items()
                )
                source = f"INFILE {_literal(str(path))} COMPRESSION 'none' SETTINGS {values}"
                client.command(
                    f"INSERT INTO {table} ({names}) FROM {source} FORMAT JSONEachRow",
                    use_database=False,
                )
            elif self._target.is_embedded:
                client.raw_insert(table, columns, lines, settings=settings, fmt="JSONEachRow")
            else:
                # A generator, because the driver re-sends bytes by itself after a reset, behind our
                # back; of one chunk, because each chunk is a system call, and each of those may
                # cost a wait for the interpreter lock.
                body = (chunk for chunk in [compress(lines)])
                client.raw_insert(
                    table, columns, body, settings=settings, fmt="JSONEachRow", compression="zstd"
                )

    def stored(
        self, writer_id: str, first_seq: int, last_seq: int, lines: bytes
    ) -> set[int] | None:
        """
        Return which of the rows *first_seq* to *last_seq* of *writer_id* are stored, or None when
        nobody may ask.

        Args:
            lines: The rows themselves; their days keep the query to a few partitions.
        """
        client, _ = self._prepared()
        if self._is_older:
            return None
        days = [day.decode() for day in _DAY.findall(lines)] or ["1970-01-01", "2149-06-06"]
        table = f"`{self._target.database}`.`{self._target.table}`"
        query = (
            f"SELECT seq FROM {table} "  # noqa: S608  # checked identifiers; the values are bound
            "WHERE writer_id = {writer_id:String} "
            "AND seq BETWEEN {first_seq:UInt64} AND {last_seq:UInt64} "
            "AND event_date BETWEEN {first_day:Date} AND {last_day:Date}"
        )
        parameters = {
            "writer_id": writer_id,
            "first_seq": first_seq,
            "last_seq": last_seq,
            "first_day": min(days),
            "last_day": max(days),
        }
        try:
            with self._errors():
                found = {row[0] for row in client.query(query, parameters).result_rows}
        except SetupError as exc:
            if exc.code not in (47, 164, 497):
                raise
            # Asked again the next time: somebody may have granted it by then.
            was_possible, self._may_look_up = self._may_look_up, False
            if was_possible:
                self._warn_of_look_up(exc)
            return None
        self._may_look_up = True
        return found

    def _warn_of_look_up(self, exc: SetupError) -> None:
        _logger.warning(
            "rows cannot be looked up before they are sent again (%s); until that is mended only "
            "the deduplication token keeps them from being doubled, and a table may forget it. "
            "Grant SELECT(writer_id, seq, event_date) to the user of the dsn",
            exc,
        )

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """
        Return the rows of a SELECT, by column name.

        Args:
            parameters: Values for the ``{name:Type}`` of *sql*, filled in by the server. Times are
                text in UTC, ``2026-11-23 04:05:06.123456``.

        Raises:
            TransientError, SetupError, DataError: See there.
        """
        client = self._connected()
        with self._errors():
            return list(client.query(sql, dict(parameters or {})).named_results())

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        """
        Run a statement that returns no rows, with *parameters* as for `query`.

        Raises:
            TransientError, SetupError, DataError: See there.
        """
        client = self._connected()
        with self._errors():
            client.command(sql, dict(parameters or {}), use_database=False)

    def create_table(self) -> None:
        """
        Run ``sql/``: create database and table, or a cluster's tables, where they are missing.

        Raises:
            TransientError, SetupError: See there.
        """
        for statement in statements(self._target):
            self.command(statement)

    def close(self) -> None:
        """Close the connection, or the engine. The next call opens it again."""
        client, self._client = self._client, None
        if client is not None:
            with self._errors():
                client.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            with mapped_errors(self._secrets):
                yield
        except SetupError:
            # What the operator mends (a table, a column) is looked at afresh by the next attempt.
            self._columns = None
            raise

    def _prepared(self) -> tuple[Client, Sequence[str]]:
        """
        Return a connected client and the columns to name in an insert, after creating what is
        missing.
        """
        if self._client is None:
            self._client = self._connect()
            if self._after_connect is not None:
                self._after_connect()
        # An older table is looked at each time: in the middle of all this it may be upgraded.
        if self._columns is None or self._is_older:
            if self._create_table:
                self.create_table()
            self._columns = self._usable_columns(self._client)
        return self._client, self._columns

    def _connected(self) -> Client:
        if self._client is None:
            self._client = self._connect()
        return self._client

    def _connect(self) -> Client:
        driver = load_driver(is_embedded=self._target.is_embedded)
        try:
            with self._errors():
                client: Client = driver.get_client(**connect_arguments(self._target))
                return client
        except (TypeError, ValueError) as exc:
            # Its text may quote a header, such as one with a token.
            said = shown(str(exc), self._secrets)
            raise SetupError(f"client_options do not fit clickhouse-connect: {said}") from exc

    def _usable_columns(self, client: Client) -> Sequence[str]:
        """
        Return the columns to name in an insert: ours, and those that the user added to the table.
        """
        table = f"`{self._target.database}`.`{self._target.table}`"
        try:
            with self._errors():
                described = client.query(f"DESCRIBE TABLE {table}").result_rows
        except SetupError as exc:
            if exc.code != 497:
                raise
            return WRITTEN_COLUMNS
        present = {row[0]: row[2] for row in described}
        was_older, self._is_older = self._is_older, is_older(present)
        if self._is_older and not was_older:
            _logger.warning(
                "table %s.%s has the layout of 2025: %s are not stored, and only a deduplication "
                "window of the table keeps a retry from doubling rows. Upgrade it with: "
                "audit-handler init",
                self._target.database,
                self._target.table,
                ", ".join(name for name in WRITTEN_COLUMNS if name not in OLDER_COLUMNS),
            )
        written = OLDER_COLUMNS if self._is_older else WRITTEN_COLUMNS
        missing = [name for name in written if name not in present]
        if missing:
            raise SetupError(
                f"table {self._target.database}.{self._target.table} lacks the columns "
                f"{', '.join(missing)}; "
                "add them (ALTER TABLE ... ADD COLUMN, with the types of sql/node/2_table.sql) or "
                "use another table",
                code=16,
            )
        added = [
            n
            for n, default in present.items()
            if n not in _OUR_NAMES and default not in ("MATERIALIZED", "ALIAS")
        ]
        return (*written, *added)


_OUR_NAMES = frozenset((*WRITTEN_COLUMNS, "event_date", "ingested_at"))


def connect_arguments(target: Target) -> dict[str, Any]:
    """Return the arguments of ``clickhouse_connect.get_client`` for *target*."""
    if target.is_embedded:
        return {"interface": "chdb", "path": target.path, **target.client_options}
    return {
        "interface": target.scheme,
        "host": target.host,
        "port": target.port,
        "username": target.user or None,
        "password": target.password,
        "send_receive_timeout": _SEND_RECEIVE_SECONDS,
        # A session would make a retry wait for the timed-out insert that still holds it (code 373).
        "autogenerate_session_id": False,
        "client_name": "audit-handler",
        **target.client_options,
    }


def insert_settings(*, async_insert: bool) -> dict[str, Any]:
    """
    Return the settings of every insert, said explicitly because their defaults differ between
    versions.
    """
    settings: dict[str, Any] = {
        "async_insert": int(async_insert),
        # An acknowledgement means: on the shards, not in a queue of the server that we talk to.
        "distributed_foreground_insert": 1,
        "deduplicate_blocks_in_dependent_materialized_views": 1,
        # One block for one segment, or a retry could store half of it again. Also faster at 10,000
        # rows.
        "input_format_parallel_parsing": 0,
        # Extras stand beside the columns in case the table has a column for them.
        "input_format_skip_unknown_fields": 1,
    }
    if async_insert:
        settings |= {"wait_for_async_insert": 1, "async_insert_deduplicate": 1}
    return settings


def compress(data: bytes) -> bytes:
    """Compress with zstd level 1: to a tenth; level 3 is slower and gains nothing on JSON rows."""
    compressed: bytes = zstd().compress(data, level=1)
    return compressed


def _literal(value: object) -> str:
    """Return *value* as a ClickHouse literal."""
    if isinstance(value, int):
        return str(value)
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"
