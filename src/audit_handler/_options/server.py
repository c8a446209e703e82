"""
The target of a handler, from its arguments and the environment, and the source of each part.

The address has one source: the dsn. ``CLICKHOUSE_PORT`` completes ``CLICKHOUSE_URL`` only. A
variable that is not used cannot break a start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audit_handler._options.driver import checked
from audit_handler._options.dsn import DEFAULT_PORTS, DSN_FORMS, split_dsn
from audit_handler._options.environment import given_in
from audit_handler._reports import Reporter
from audit_handler.errors import ConfigurationError
from audit_handler.target import Target

__all__ = ["TARGET_VARIABLES", "is_service_link", "resolve_target"]

TARGET_VARIABLES: Mapping[str, str] = {
    "database": "CLICKHOUSE_DATABASE",
    "cluster": "CLICKHOUSE_CLUSTER",
}
"""Environment variables of the options whose values error messages quote."""

_logger = Reporter("audit_handler.config")

# Kubernetes and Docker set NAME_PORT to this form for a service or a link with that name.
_SERVICE_LINK = re.compile(r"\s*(tcp|udp|sctp)://")


def resolve_target(
    given: dict[str, Any], environ: Mapping[str, str]
) -> tuple[Target, dict[str, str]]:
    """
    Build the target from the arguments of a handler and the environment. Return it with the source
    of each part that was given: ``"argument"``, ``"dsn"`` or the name of a variable.

    Removes the options of the target from *given*.

    Raises:
        ConfigurationError: The dsn is missing, or an option of the target is not valid.
    """
    argument = given.pop("dsn", None)
    dsn = argument or given_in(environ, "CLICKHOUSE_URL")
    if not dsn:
        raise ConfigurationError(_no_dsn(environ), option="dsn")
    if not isinstance(dsn, str):
        raise ConfigurationError(
            f"the dsn is not text but {type(dsn).__name__}; use {DSN_FORMS}", option="dsn"
        )
    client_options = given.pop("client_options", {})
    if not isinstance(client_options, Mapping):
        raise ConfigurationError(
            f"client_options is not a mapping but {type(client_options).__name__}; use "
            "one such as {'verify': False}",
            option="client_options",
        )
    fields = split_dsn(dsn)
    sources = {"dsn": "argument" if argument else "CLICKHOUSE_URL"}
    sources.update(dict.fromkeys(("user", "password", "database") & fields.keys(), "dsn"))
    sources = {part: source for part, source in sources.items() if fields.get(part, True)}
    if fields["scheme"] != "chdb":
        _complete(fields, sources, environ)
    _name_table(fields, sources, given, environ)
    fields["client_options"] = checked(fields["client_options"], client_options, fields)
    fields["path"] = fields["client_options"].get("proxy_path", "") or fields["path"]
    return Target(**fields), sources


def _no_dsn(environ: Mapping[str, str]) -> str:
    hint = "; CLICKHOUSE_HOST is not read" if given_in(environ, "CLICKHOUSE_HOST") else ""
    return (
        "no dsn: pass dsn=... to AuditHandler or set the environment variable CLICKHOUSE_URL; "
        f"use {DSN_FORMS}{hint}"
    )


def _complete(fields: dict[str, Any], sources: dict[str, str], environ: Mapping[str, str]) -> None:
    """Fill in what the dsn of a server leaves out."""
    if not fields["port"]:
        fields["port"] = DEFAULT_PORTS[fields["scheme"]]
        if sources["dsn"] == "CLICKHOUSE_URL" and (port := _environment_port(environ)):
            fields["port"], sources["port"] = port, "CLICKHOUSE_PORT"
    if fields["password"]:
        return
    user = given_in(environ, "CLICKHOUSE_USER")
    if fields["user"] and user and fields["user"] != user:
        # The password belongs to another user: it is not sent.
        if environ.get("CLICKHOUSE_PASSWORD") or given_in(environ, "CLICKHOUSE_PASSWORD_FILE"):
            _logger.warning(
                "the dsn and CLICKHOUSE_USER name two users, so the password of the environment "
                "is not used. Give the password in the dsn, or remove one of the users"
            )
        return
    if user and not fields["user"]:
        fields["user"], sources["user"] = user, "CLICKHOUSE_USER"
    fields["password"], source = _environment_password(environ)
    if source:
        sources["password"] = source


def _name_table(
    fields: dict[str, Any],
    sources: dict[str, str],
    given: dict[str, Any],
    environ: Mapping[str, str],
) -> None:
    for option, default in (("database", "audit_db"), ("table", ""), ("cluster", "")):
        variable = TARGET_VARIABLES.get(option, "")
        if option in given:
            fields[option], sources[option] = given.pop(option), "argument"
        elif option not in fields and (text := given_in(environ, variable)):
            fields[option], sources[option] = text, variable
        elif option not in fields and default:
            fields[option] = default


def is_service_link(port: str) -> bool:
    """Return whether *port* is what Kubernetes or Docker set for a service, and no port."""
    return _SERVICE_LINK.match(port) is not None


def _environment_port(environ: Mapping[str, str]) -> int:
    """Return the port of the environment; 0 if there is none that was meant for us."""
    text = given_in(environ, "CLICKHOUSE_PORT")
    if is_service_link(text):
        _logger.warning(
            "CLICKHOUSE_PORT is ignored: Kubernetes or Docker set it for a service named "
            "clickhouse. The default port is used; write another one into CLICKHOUSE_URL"
        )
        return 0
    if not text:
        return 0
    # int() would take other digits and underscores too.
    number = int(text) if re.fullmatch(r"[0-9]{1,5}", text) else 0
    if not 1 <= number <= 65_535:
        # Another text may be a value that was meant for the variable of the password.
        value = f"={text}" if re.fullmatch(r"[0-9]{1,5}", text) else ""
        raise ConfigurationError(
            f"CLICKHOUSE_PORT{value} is not a port; use a number from 1 to 65535, such as 8443"
        )
    return number


def _environment_password(environ: Mapping[str, str]) -> tuple[str, str]:
    """
    Return the password of the environment and the name of its variable.

    Reads the file of ``CLICKHOUSE_PASSWORD_FILE`` (Docker and Kubernetes secrets) only if
    ``CLICKHOUSE_PASSWORD`` is not set. A line break at the end is no part of either.
    """
    if password := environ.get("CLICKHOUSE_PASSWORD", "").rstrip("\r\n"):
        if not _is_unicode(password):
            raise ConfigurationError("CLICKHOUSE_PASSWORD is not UTF-8 text; save it as UTF-8")
        return password, "CLICKHOUSE_PASSWORD"
    path = given_in(environ, "CLICKHOUSE_PASSWORD_FILE")
    if not path:
        return "", ""
    try:
        text = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError) as exc:
        if isinstance(exc, UnicodeDecodeError):
            problem, remedy = "is not UTF-8 text", "save it as UTF-8"
        else:
            problem = f"cannot be read: {getattr(exc, 'strerror', None) or 'it is no path'}"
            remedy = "give the path of a file that this user may read, not the password itself"
        # Without the path and the cause: the one may be the password, the other quotes the content.
        raise ConfigurationError(
            f"the file of CLICKHOUSE_PASSWORD_FILE {problem}; {remedy}"
        ) from None
    return text, "CLICKHOUSE_PASSWORD_FILE"


def _is_unicode(text: str) -> bool:
    """Return whether *text* came from UTF-8: other bytes of the environment are surrogates."""
    return not any("\ud800" <= c <= "\udfff" for c in text)
