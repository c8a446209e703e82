"""
What an HTTP answer says, and whether it acknowledges an insert.

Only ClickHouse can say that rows are stored. Anything on the way may answer instead: a proxy, a
load balancer that redirects, a login page, a cache. So an insert has a query id of its own, and is
acknowledged only by an answer that

1. has the status 200, and no exception in its headers or its body,
2. repeats that query id in ``X-ClickHouse-Query-Id``: no cached and no late answer can,
3. counts every row as written in ``X-ClickHouse-Summary``,
4. has no body, and says its length (or comes in chunks), so that a cut answer shows.

Measured on engine 26.9 over HTTP, for 10 rows (``written_rows``):

=================================================  =====
plain table; Null and Buffer engines                  10
the same token again, nothing stored                  10
table with one materialized view                      20
Distributed over one shard on the same server         20
Distributed over two shards, 5 rows on the same       15
bad rows skipped (``input_format_allow_errors_num``)  fewer
=================================================  =====

So the count of a good answer is never smaller than the batch, and may be larger. The one exception
is ``async_insert`` before ClickHouse 26.4, which answers 0 although it waited for the flush
(ClickHouse#99879): with ``async_insert``, and only with it, 0 is accepted too. A bad row fails such
an insert as a whole, because rows may not be skipped (see ``_insert``).

Errors have ``X-ClickHouse-Exception-Code``. ClickHouse sends no query id with those that it finds
before it begins with the query, for example a wrong password or an unknown setting. An error that
it finds after the headers is in the body, in newer versions after the line ``__exception__``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from audit_handler.clickhouse._shown import masked
from audit_handler.errors import TransientError, UnconfirmedError

__all__ = ["Answer", "ForeignAnswer", "require_acknowledgement"]

_OK = 200

# Enough to recognize a page or a product by. Never more, because a page may quote the request.
_SHOWN_WORDS = 60
_SHOWN_NAME = 60
# The page may be large, and only its beginning is shown.
_READ = 1024

_EXCEPTION = re.compile(rb"__exception__|Code: (\d+)\. DB::")
_REDIRECT_REMEDY = (
    "give the dsn the final address (scheme, host and port, and proxy_path): an insert is never "
    "sent to the target of a redirect"
)
_FOREIGN_REMEDY = (
    "let the dsn lead to ClickHouse's HTTP port, and see what answers there: a proxy must pass "
    "ClickHouse's answers on with their X-ClickHouse headers"
)

_RENAMED_REMEDY = (
    "the answer has the query id of another request. If this stays, a proxy gives queries ids of "
    "its own, as chproxy does, and may drop settings and the tokens that prevent duplicates: let "
    "the dsn lead past it"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, as far as it was read."""

    status: int
    headers: Mapping[str, str]
    """Names are compared without case."""
    query_id: str
    """The query id of the request."""
    body: bytes = b""
    """Empty while the body is still to be read."""
    secrets: Collection[str] = ()
    """Not shown, also if the answer repeats them."""

    @property
    def is_own(self) -> bool:
        """Whether ClickHouse itself answered this very request."""
        return bool(self.query_id) and self._name == self.query_id

    @property
    def is_foreign(self) -> bool:
        """
        Whether something else than ClickHouse answered, or ClickHouse answered another request.

        False for an answer without any sign: a proxy may have removed the headers.
        """
        if self._name is not None:
            return not self.is_own
        if "X-ClickHouse-Exception-Code" in self.headers or self.status >= 400:
            return False  # an error, whoever says so
        return self.status != _OK or "html" in self.headers.get("Content-Type", "").lower()

    @property
    def is_renamed(self) -> bool:
        """Whether the answer has the query id of another request."""
        return self._name is not None and not self.is_own

    @property
    def is_redirect(self) -> bool:
        return 300 <= self.status < 400

    @property
    def has_exception(self) -> bool:
        """Whether the body says that the query failed."""
        return _EXCEPTION.search(self.body) is not None

    def says(self, code: int) -> bool:
        """
        Whether ClickHouse itself reports the error *code*: both header and text, with the query id.
        """
        return self.is_own and b"Code: %d. DB::" % code in self.body

    @property
    def has_length(self) -> bool:
        """Whether a cut of the body would have been noticed."""
        is_chunked = "chunked" in self.headers.get("Transfer-Encoding", "").lower()
        return is_chunked or "Content-Length" in self.headers

    @property
    def _name(self) -> str | None:
        return self.headers.get("X-ClickHouse-Query-Id")

    def __str__(self) -> str:
        """
        Return who answered, and how it began. It may quote what the other side sent: pass it to
        `shown`. What is cut here was masked before.
        """
        parts = [f"HTTP status {self.status}"]
        if server := self.headers.get("Server"):
            parts.append(f"from {masked(server, self.secrets)[:_SHOWN_NAME]}")
        if content_type := self.headers.get("Content-Type"):
            parts.append(f"({masked(content_type, self.secrets)[:_SHOWN_NAME]})")
        if self.is_redirect:
            parts.append(f"to {_place(self.headers.get('Location', 'no address'), self.secrets)}")
        words = self._words()
        return " ".join(parts) + (f", which begins {words!r}" if words else "")

    def _words(self) -> str:
        # The text of an exception may quote a row.
        if found := _EXCEPTION.search(self.body):
            return f"Code: {found[1].decode()}" if found[1] else "__exception__"
        return masked(self.body[:_READ].decode(errors="replace"), self.secrets)[:_SHOWN_WORDS]


class ForeignAnswer(Exception):  # a fact about an answer, mapped before anyone sees it
    """An answer that cannot be believed. `sort_error` and `post` make it one of our errors."""

    def __init__(self, answer: Answer, problem: str = "ClickHouse did not answer, but") -> None:
        super().__init__(f"{problem} {answer}")
        if answer.is_redirect:
            self.remedy = _REDIRECT_REMEDY
        else:
            self.remedy = _RENAMED_REMEDY if answer.is_renamed else _FOREIGN_REMEDY

    def as_error(self, said: str, *, is_insert: bool) -> TransientError:
        """Return this as an error with the text *said*."""
        kind = UnconfirmedError if is_insert else TransientError
        return kind(said, remedy=self.remedy)


def require_acknowledgement(answer: Answer, rows: int, *, is_async: bool) -> None:
    """
    Raise ForeignAnswer unless *answer* acknowledges an insert of *rows* rows; see the module.

    Args:
        is_async: The insert was sent with ``async_insert=1``.
    """
    if not answer.is_own or answer.status != _OK or "X-ClickHouse-Summary" not in answer.headers:
        raise ForeignAnswer(answer, "no ClickHouse acknowledges the insert:")
    if answer.has_exception or answer.body.strip():
        raise ForeignAnswer(answer, "ClickHouse's answer to the insert has a body:")
    if not answer.has_length:
        raise ForeignAnswer(answer, "the answer to the insert may be cut:")
    written = _written_rows(answer.headers["X-ClickHouse-Summary"])
    if written is None:
        raise ForeignAnswer(answer, "ClickHouse's summary of the insert cannot be read:")
    if written < rows and not (is_async and written == 0):
        raise ForeignAnswer(answer, f"ClickHouse counts {written} of {rows} rows as written:")


def _written_rows(summary: str) -> int | None:
    try:
        return int(json.loads(summary)["written_rows"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _place(location: str, secrets: Collection[str]) -> str:
    """Return where *location* points to, without login and query."""
    try:
        parts = urlsplit(location)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "an address that is not valid"
    if host is None:
        return masked(parts.path, secrets)[:_SHOWN_NAME] or "no address"
    origin = f"{parts.scheme or 'http'}://{host}{f':{port}' if port else ''}"
    return masked(origin + parts.path, secrets)[: 2 * _SHOWN_NAME]
