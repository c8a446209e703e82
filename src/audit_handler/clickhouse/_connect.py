"""Connect to a target."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit_handler.clickhouse._engine import engine
from audit_handler.clickhouse._errors import about_no_row, mapped_errors
from audit_handler.clickhouse._loading import load_driver
from audit_handler.clickhouse._option_faults import is_about_options, option_fault
from audit_handler.clickhouse._owner import opening
from audit_handler.clickhouse._transport import Transport, pool_for
from audit_handler.target import Target

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

__all__ = ["connect", "connect_arguments"]

# The driver's default is 300. An insert of 8 MiB takes well under a second, and one that hangs
# holds up all others.
_SEND_RECEIVE_SECONDS = 60


def connect(target: Target, secrets: Collection[str]) -> Client:
    """
    Load the driver and return a connected client.

    Raises:
        TransientError, SetupError: See `audit_handler.errors`.
        EngineClosed: The process is ending, and *target* is chDB.
    """
    if not target.is_embedded:
        return _connect(target, secrets)
    if not target.is_in_memory:
        # chDB would create it so that other users can read the events. If we cannot, its error
        # says so.
        with suppress(OSError):
            Path(target.path).mkdir(mode=0o700, parents=True, exist_ok=True)
    with engine.use():
        client = _connect(target, secrets)
        engine.opened(client)
        return client


def _connect(target: Target, secrets: Collection[str]) -> Client:
    # Call it before `mapped_errors`, which also imports the driver: `load_driver` raises in a
    # forked child of chDB, and makes a fork wait for the import.
    driver = load_driver(is_embedded=target.is_embedded)
    transport: Transport | None = None
    try:
        arguments = connect_arguments(target)
        if not target.is_embedded:
            transport = Transport(
                target.client_options.get("pool_mgr") or pool_for(target), secrets
            )
            arguments["pool_mgr"] = transport
        # After the import, which takes up to a second: other processes would wait for it.
        turn = opening(target.path) if target.is_embedded else nullcontext()
        with turn, about_no_row(), mapped_errors(secrets, transport):
            client: Client = driver.get_client(**arguments)
            return client
    except BaseException as exc:
        if transport is not None:
            transport.close()
        if not is_about_options(exc, target):
            raise
        # Without its cause, whose text may quote a header that contains a token.
        raise option_fault(exc, target, secrets) from None


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
        # In a session a retry would wait for the timed-out insert that still holds it
        # (SESSION_IS_LOCKED).
        "autogenerate_session_id": False,
        "client_name": "audit-handler",
        **target.client_options,
        # Tells ClickHouse's answer to a request from every other answer.
        "autogenerate_query_id": True,
    }
