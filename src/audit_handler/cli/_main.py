"""The group of all commands: what they have in common is how they end."""

from __future__ import annotations

import errno
import logging
import sys
from io import TextIOWrapper
from typing import Any

import click

from audit_handler.cli._completeness import verify_completeness
from audit_handler.cli._init import init
from audit_handler.cli._move import move
from audit_handler.cli._output import safe
from audit_handler.cli._query import query
from audit_handler.cli._reading import search, show
from audit_handler.cli._report import report
from audit_handler.cli._setup import check, load
from audit_handler.cli._spool import replay, spool
from audit_handler.cli._tail import tail
from audit_handler.errors import AuditHandlerError, ConfigurationError

__all__ = ["main"]

UNREACHABLE = 3


class _Refused(click.ClickException):
    """ClickHouse or the spool could not be asked, or refused."""

    exit_code = UNREACHABLE


class _Commands(click.Group):
    """Turns our errors into messages and exit codes, for all commands alike."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigurationError as exc:
            raise click.UsageError(safe(str(exc))) from exc
        except AuditHandlerError as exc:
            raise _Refused(safe(str(exc))) from exc
        except OSError as exc:
            if exc.errno == errno.EPIPE:
                raise  # Whoever read our output has enough; click ends quietly.
            raise _Refused(safe(str(exc))) from exc


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="audit-handler")
def main() -> None:
    """
    Prepare ClickHouse for audit-handler, find out why nothing arrives, and read the trail.

    A new trail: init, check, load, search. Reading: search, tail, show, report, query. Whether it
    is whole: verify-completeness. What waits or was refused: spool, replay.

    Options can also come from the environment, or from a .env file in the working directory, under
    the names that the handler knows: CLICKHOUSE_URL, CLICKHOUSE_USER, CLICKHOUSE_PASSWORD,
    CLICKHOUSE_PASSWORD_FILE, CLICKHOUSE_DATABASE, CLICKHOUSE_CLUSTER, AUDIT_SPOOL_DIR. A password
    in --dsn shows in the list of processes; in the environment it does not.

    \b
    Exit codes:
      0  done, and all is well
      1  done, and something is not well: a failed check, a missing or repeated row,
         a row that is refused again, an event that does not exist
      2  an option, or a variable of the environment, is wrong
      3  ClickHouse or the spool could not be asked, or refused; the message says what
         to do
    """  # \b is click's mark for "leave these lines as they are"
    if isinstance(sys.stdout, TextIOWrapper):
        # What was stored may hold characters that this terminal or file cannot.
        sys.stdout.reconfigure(errors="backslashreplace")
    for name in ("audit_handler", "clickhouse_connect", "urllib3"):
        # What they would log is what the commands say themselves.
        logging.getLogger(name).addHandler(_silence)


_silence = logging.NullHandler()

for command in (
    init,
    check,
    load,
    search,
    tail,
    show,
    report,
    query,
    verify_completeness,
    spool,
    replay,
):
    main.add_command(command)
spool.add_command(move)
