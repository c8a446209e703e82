"""The group of all commands: their order in the help, and their exit codes."""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import click

from audit_handler.cli._check import check
from audit_handler.cli._init import init
from audit_handler.cli._load import load
from audit_handler.cli._output import safe
from audit_handler.cli._query import query
from audit_handler.cli._replay import replay
from audit_handler.cli._report import report
from audit_handler.cli._search import search
from audit_handler.cli._show import show
from audit_handler.cli._spool import spool
from audit_handler.cli._spool_export import export
from audit_handler.cli._spool_move import move
from audit_handler.cli._tail import tail
from audit_handler.cli._verify_completeness import verify_completeness
from audit_handler.errors import AuditHandlerError, ConfigurationError

__all__ = ["main"]

UNREACHABLE = 3

_SECTIONS: Mapping[str, Sequence[click.Command]] = {
    "Set up a trail": (init, check, load),
    "Read the trail": (search, tail, show, report, query),
    "Verify the trail": (verify_completeness,),
    "Rows that are not in ClickHouse": (spool, replay),
}


class _Failed(click.ClickException):
    """ClickHouse or the spool was unreachable, or rejected the request."""

    exit_code = UNREACHABLE


class _Commands(click.Group):
    """Turn our errors into messages and exit codes, for every command."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigurationError as exc:
            raise click.UsageError(safe(str(exc))) from exc
        except AuditHandlerError as exc:
            raise _Failed(safe(str(exc))) from exc
        except OSError as exc:
            if exc.errno == errno.EPIPE:
                raise  # The reader of our output has closed it; click ends quietly.
            raise _Failed(safe(str(exc))) from exc

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, self.commands))
        for title, commands in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(f"{each.name:{width}}", each.get_short_help_str(60)) for each in commands]
                )


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="audit-handler")
def main() -> None:
    """
    Set up, read and verify an audit trail in ClickHouse.

    Options can also come from the environment, or from a .env file in the working directory:
    CLICKHOUSE_URL, CLICKHOUSE_PORT, CLICKHOUSE_USER, CLICKHOUSE_PASSWORD, CLICKHOUSE_PASSWORD_FILE,
    CLICKHOUSE_DATABASE, CLICKHOUSE_CLUSTER, AUDIT_SPOOL_DIR. check and load also read the other
    variables of the handler. An option wins over the environment, the environment over the file.
    CLICKHOUSE_PORT completes CLICKHOUSE_URL only. URL, port, user and password come from one
    source, and a .env file that other users can change is ignored.

    A password in --dsn is visible in the list of processes; use CLICKHOUSE_PASSWORD instead.

    \b
    Exit codes:
      0  The command succeeded.
      1  The command ran and found a problem: a check failed, rows are missing
         or repeated, rows were rejected again, or the event does not exist.
      2  An option or an environment variable is wrong.
      3  ClickHouse or the spool is unreachable, or rejected the request. The
         message says what to do.
    """  # \b tells click to keep these lines as they are
    # Python has none if it is closed (>&-).
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115  # until the end
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115  # until the end
    if isinstance(sys.stdout, TextIOWrapper):
        # Stored text may hold characters that this terminal or file cannot encode.
        sys.stdout.reconfigure(errors="backslashreplace")
    for name in ("audit_handler", "clickhouse_connect", "urllib3"):
        # The commands report the same trouble themselves.
        logging.getLogger(name).addHandler(_silence)


_silence = logging.NullHandler()

for _commands in _SECTIONS.values():
    for _command in _commands:
        main.add_command(_command)
spool.add_command(export)
spool.add_command(move)
