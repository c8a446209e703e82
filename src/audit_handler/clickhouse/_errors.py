"""Map the driver's exceptions to ours, in one place."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from audit_handler.clickhouse._acknowledgement import Answer, ForeignAnswer
from audit_handler.clickhouse._cause import innermost_cause
from audit_handler.clickhouse._codes import (
    DATA_CODES,
    EXPRESSION_CODES,
    HTTP_REMEDIES,
    HTTP_SETUP_REMEDIES,
    SETUP_REMEDIES,
    TRANSIENT_REMEDIES,
    Code,
    HttpStatus,
)
from audit_handler.clickhouse._shown import mask_chain, masked, shown
from audit_handler.clickhouse._transport import Transport
from audit_handler.errors import (
    DataError,
    DeliveryError,
    SetupError,
    TransientError,
    ViewError,
)
from audit_handler.target import Target

__all__ = [
    "Sent",
    "about_no_row",
    "mapped_errors",
    "quieten_driver",
    "sort_error",
    "with_own_remedy",
]

_ROW = re.compile(r"\(at row (?P<row>\d+)\)")
_VIOLATED = re.compile(
    r"for table (?P<table>\S+) (?:\([0-9a-f-]+\) )?is violated at row (?P<row>\d+)"
)
# In an expression of the table: a default, a constraint, an index. A dictionary has a source of its
# own, which may be down.
_IN_EXPRESSION = re.compile(r"while executing 'FUNCTION (?!.*\bdict\w*\()", re.DOTALL)
_KEY = re.compile(r"while reading the value of key (.+?)\)")
# What a shard said is all of the text: the value of a row may have the same words, behind others.
_SHARD = re.compile(r"(?:(?!DB::Exception: ).)*DB::Exception: Received from ", re.DOTALL)
# A Distributed table says how much it sent to each shard. Nothing was sent when it could not read
# the rows itself.
_SENT_TO_SHARDS = re.compile(r"\nWrote [1-9]\d* blocks")
# The table or database that is missing.
_MISSING = re.compile(r"(?:Table|Database|table expression identifier) ['`]?([\w`.-]+)", re.ASCII)
_HTTP_STATUS = re.compile(r"HTTP status (\d{3})")
_ENGINE_FILES = re.compile(
    r"Unable to open the chdb engine.*?filesystem error: (.*?)(?:, Stack trace|$)", re.DOTALL
)
_OTHER_DATABASE = re.compile(r"EmbeddedServer already initialized with path '(.*?)', cannot")
_OTHERS_TABLE = (
    "audit-handler did not create it: create it again, or change what reads it, such as a view in "
    "place of the audit table"
)
_UNANSWERED = (
    "see the server's log; if a view stands in place of the table, see what it makes of the rows"
)
_UNKNOWN_HOST = "check the host in the dsn: this machine cannot resolve the name"
_REFUSED = (
    "check host and port in the dsn, and that ClickHouse runs there: its HTTP port is 8123, or "
    "8443 with TLS, and not 9000"
)
_NO_ANSWER = (
    "check the address in the dsn, and whether a firewall lets this machine reach that port; "
    "a server that is overloaded also answers late"
)
_BROKEN = (
    "see whether ClickHouse restarts, and whether a proxy or a firewall on the way ends connections"
)
_NO_TLS = (
    "use http:// in the dsn if the port is one without TLS (8123), or the port with TLS (8443)"
)


@dataclass(frozen=True, slots=True)
class Sent:
    """What an insert sent. An error may quote any value of it, with words of ClickHouse's own."""

    lines: bytes = b""
    ignores_views: bool = False
    """Whether it asks ClickHouse to ignore views that fail."""

    @property
    def may_name_a_view(self) -> bool:
        """Whether a view that an error names may stand in the value of a row."""
        return b"pushing" in self.lines

    @property
    def may_name_shards(self) -> bool:
        """Whether the report of a Distributed table may stand in the value of a row."""
        return b"Wrote " in self.lines


_NOTHING = Sent()


@contextmanager
def mapped_errors(
    secrets: Collection[str], transport: Transport | None, sent: Sent = _NOTHING
) -> Iterator[None]:
    """
    Raise any error of the driver as one of our `DeliveryError`s, with none of *secrets* in its text
    or in those of its causes. The answer that *transport* (None if the engine is embedded) got last
    is named.
    """
    from clickhouse_connect.driver.exceptions import Error  # loaded by the thread that uses it

    _mapping.secrets = secrets
    if transport is not None:
        transport.answer = (
            None  # an error before the request must not be blamed on an earlier answer
        )
    try:
        yield
    except ForeignAnswer as exc:
        raise exc.as_error(shown(str(exc), secrets), is_insert=False) from exc
    except (Error, OSError) as exc:
        fault = sort_error(exc, secrets, transport.answer if transport else None, sent)
        mask_chain(exc, secrets)
        raise fault from exc
    except (DeliveryError, MemoryError):
        raise
    except Exception as exc:
        mask_chain(exc, secrets)
        # The driver parses whatever answers: garbage can raise anything.
        if transport is None or transport.answer is None:
            raise
        unread = ForeignAnswer(transport.answer, "no ClickHouse answer can be read:")
        raise unread.as_error(shown(str(unread), secrets), is_insert=False) from exc
    finally:
        _mapping.secrets = None


@contextmanager
def about_no_row() -> Iterator[None]:
    """
    Raise a `DataError` and a `ViewError` as a `TransientError`: to anything but an insert, an error
    that is about data says nothing about the rows.
    """
    try:
        yield
    except (DataError, ViewError) as exc:
        raise TransientError(
            f"ClickHouse cannot answer a question about the table: {exc.problem}",
            code=exc.code,
            remedy=_UNANSWERED,
        ) from exc


# Its *secrets* are those of the call that this thread is in, which raises its failure; else None.
_mapping = threading.local()


def quieten_driver() -> None:
    """
    Silence the warnings of the driver and urllib3 about failures that we raise, and mask secrets in
    what they log in our calls.

    The listener logs such a failure once, not with each retry of an outage. Warnings about the
    application's own use of both libraries stay. Call this once both are imported.
    """
    for name in list(logging.root.manager.loggerDict):
        if name.startswith(("clickhouse_connect.driver.", "urllib3.connectionpool")):
            logging.getLogger(name).addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    secrets: Collection[str] | None = getattr(_mapping, "secrets", None)
    if secrets is None:
        return True
    record.msg, record.args = masked(record.getMessage(), secrets), ()
    return not record.msg.startswith(("Unexpected Http Driver Exception", "Retrying ("))


def sort_error(
    exc: Exception,
    secrets: Collection[str],
    answer: Answer | None = None,
    sent: Sent = _NOTHING,
) -> DeliveryError:
    """
    Return *exc* as a `TransientError`, `SetupError`, `DataError` or `ViewError`, with a text
    that is safe to log.

    Args:
        answer: The answer that *exc* is about, if there is one.
        sent: The insert that *exc* is about, if it is about one.
    """
    from clickhouse_connect.driver.exceptions import ProgrammingError

    code: int | None = getattr(exc, "code", None)
    text = str(exc)
    if code is not None:
        return _sort_code(code, getattr(exc, "name", None), text, secrets, answer, sent)
    # The application may have switched the driver's texts off.
    if status := answer.status if answer and answer.status >= 300 else _http_status(text):
        return _sort_status(status, shown(str(answer or f"HTTP status {status}"), secrets))
    if isinstance(exc, ProgrammingError):
        return _sort_driver_refusal(text, secrets)
    return _sort_transport_error(exc, text, secrets)


def _sort_status(status: int, said: str) -> DeliveryError:
    """Return the error for an answer without ClickHouse's code: the insert may have run."""
    if status == HttpStatus.REQUEST_ENTITY_TOO_LARGE:
        return DataError(
            f"{said}: the insert is too large for a proxy on the way",
            is_ambiguous=True,
            is_too_large=True,
        )
    if status in HTTP_SETUP_REMEDIES:
        return SetupError(said, remedy=HTTP_SETUP_REMEDIES[status], is_ambiguous=True)
    return TransientError(said, remedy=HTTP_REMEDIES.get(status, ""))


def _sort_code(
    code: int,
    name: str | None,
    text: str,
    secrets: Collection[str],
    answer: Answer | None,
    sent: Sent,
) -> DeliveryError:
    label = f"code {code} ({name})" if name else f"code {code}"
    is_from_shard = bool(
        _SHARD.match(text) or (_SENT_TO_SHARDS.search(text) and not sent.may_name_shards)
    )
    # Something on the way may have made the error after the insert ran.
    may_be_forged = answer is not None and not answer.says(code)
    # Masked first, because a cause is a cut of the text.
    cause = innermost_cause(masked(text, secrets))
    # A row may name a view that no one has. The same error although views are ignored is no view's.
    is_quoted = bool(cause.view) and sent.may_name_a_view
    if cause.view and not (is_quoted and sent.ignores_views):
        # Before the code: a view can fail with any code, and a retry would fail again.
        return ViewError(
            f"{label}: {shown(cause.text, secrets)}",
            code=code,
            view=shown(cause.view, secrets),
            is_from_shard=is_from_shard,
            may_be_forged=may_be_forged or is_quoted,
        )
    has_too_many_partitions = code == Code.TOO_MANY_PARTS and "Too many partitions" in text
    # A shard counts its own rows.
    violated = _VIOLATED.search(text) if code == Code.VIOLATED_CONSTRAINT else None
    found = None if is_from_shard else violated or _last(_ROW, text)
    is_value = code in EXPRESSION_CODES and (found or _IN_EXPRESSION.search(text))
    if code in DATA_CODES or is_value or has_too_many_partitions:
        # The server's text quotes the row, so our message leaves it out. The text goes to
        # rejected/, with the row.
        key = _last(_KEY, text)
        return DataError(
            label,
            code=code,
            row=int(found["row"]) if found else None,
            table=violated["table"].replace("`", "") if violated else "",
            key=key[1] if key else None,
            is_ambiguous=may_be_forged or is_quoted or found is None,
            is_from_shard=is_from_shard,
            has_too_many_partitions=has_too_many_partitions,
            may_be_forged=may_be_forged,
        )
    problem = f"{label}: {shown(cause.text, secrets)}"
    if code in SETUP_REMEDIES:
        # Ours are about the table and its user, not about the views of others.
        remedy = shown(cause.remedy, secrets) or SETUP_REMEDIES[code]
        # ClickHouse sends no query id with most of them, so anything on the way could say the same.
        return SetupError(problem, code=code, remedy=remedy, is_ambiguous=answer is not None)
    return TransientError(problem, code=code, remedy=TRANSIENT_REMEDIES.get(code, ""))


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """Return the last match: a value that *text* quotes stands before ClickHouse's own words."""
    return max(pattern.finditer(text), key=re.Match.start, default=None)


def _sort_driver_refusal(text: str, secrets: Collection[str]) -> DeliveryError:
    if "readonly" in text or "unsupported setting" in text.lower():
        return SetupError(shown(text, secrets), remedy="allow it in the user's profile")
    if found := _ENGINE_FILES.search(text):
        return SetupError(
            f"chDB cannot open its directory: {shown(found[1], secrets)}",
            remedy="give the dsn a directory that this user may create and write to",
        )
    # What is left passes, and stored nothing.
    if found := _OTHER_DATABASE.search(text):
        return TransientError(
            f"chDB has the database {shown(found[1], secrets)} open in this process, and opens one "
            "at a time",
            remedy="close it, give the dsn the same directory, or use a server",
            is_ambiguous=False,
        )
    # Two causes: a second process on the same chDB directory (the engine writes that reason to
    # stderr only), and a client that was closed at exit.
    hint = (
        "another process has this directory open: chDB allows one at a time"
        if "Unable to open the chdb engine" in text
        else ""
    )
    return TransientError(shown(text, secrets), remedy=hint, is_ambiguous=False)


def _sort_transport_error(exc: Exception, text: str, secrets: Collection[str]) -> DeliveryError:
    from ssl import SSLCertVerificationError

    from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError, SSLError

    cause = exc.__cause__
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    tls_fault = reason.args[0] if isinstance(reason, SSLError) and reason.args else None
    certificate_faults = (SSLCertVerificationError, FileNotFoundError, PermissionError)
    # OpenSSL's parts that read files, not peers.
    is_no_certificate = getattr(tls_fault, "library", "") in ("X509", "PEM")
    if is_no_certificate or any(
        isinstance(fault, certificate_faults) for fault in (exc, tls_fault)
    ):
        return SetupError(
            f"TLS: {shown(str(tls_fault or exc), secrets)}",
            remedy="see ca_cert, client_cert and server_host_name in client_options",
        )
    # Refused, unknown host, no answer to the handshake: no request was sent.
    was_not_sent = isinstance(reason, NewConnectionError | ConnectTimeoutError)
    return TransientError(
        shown(str(reason or text), secrets),
        remedy=_transport_remedy(reason),
        is_ambiguous=not was_not_sent,
    )


def _transport_remedy(reason: object) -> str:
    from urllib3.exceptions import (
        NameResolutionError,
        NewConnectionError,
        ProtocolError,
        SSLError,
        TimeoutError,
    )

    if isinstance(reason, NameResolutionError):
        return _UNKNOWN_HOST
    if isinstance(reason, NewConnectionError):
        return _REFUSED
    if isinstance(reason, TimeoutError):
        return _NO_ANSWER
    if isinstance(reason, ProtocolError | ConnectionError):
        return _BROKEN
    return _NO_TLS if isinstance(reason, SSLError) else ""


def with_own_remedy(exc: SetupError, target: Target) -> SetupError:
    """
    Return *exc*, with another remedy if a table or database is missing that ``init`` does not
    create.
    """
    if exc.code not in (Code.UNKNOWN_TABLE, Code.UNKNOWN_DATABASE):
        return exc
    found = _MISSING.search(exc.problem)
    own = {target.table, f"{target.table}_local"}
    names = {target.database, *own, *(f"{target.database}.{name}" for name in own)}
    # A view has a remedy of its own.
    if exc.remedy != SETUP_REMEDIES[exc.code] or found is None:
        return exc
    if found[1].replace("`", "").rstrip(".") in names:
        return exc
    return SetupError(
        exc.problem, code=exc.code, remedy=_OTHERS_TABLE, is_ambiguous=exc.is_ambiguous
    )


def _http_status(text: str) -> int | None:
    found = _HTTP_STATUS.search(text)
    return int(found[1]) if found else None
