"""The step of ``audit-handler check`` about the address: who gave it, and what travels there."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from urllib.request import getproxies, proxy_bypass

from audit_handler._operations.check_spool import OK, WARNING, Finding
from audit_handler.config import Settings
from audit_handler.target import Target

__all__ = ["ADDRESS", "check_address"]

ADDRESS = "address"

# ClickHouse's ports of the native protocol, without and with TLS.
_NATIVE_PORTS = {9000: 8123, 9440: 8443}


def check_address(settings: Settings) -> Iterator[Finding]:
    """Report the source of each part of the target, and the risks on the way there."""
    target = settings.target
    sources = [
        f"{part} from {'the command line' if source == 'argument' else source}"
        for part in ("dsn", "port", "user", "password", "database", "cluster", "spool_dir")
        if (source := settings.sources.get(part))
    ]
    detail = ", ".join([str(target), *sources])
    yield Finding(step=ADDRESS, state=OK, detail=detail)
    if target.is_embedded:
        return
    for detail, remedy in _risks(target):
        yield Finding(step=ADDRESS, state=WARNING, detail=detail, remedy=remedy)


def _risks(target: Target) -> Iterator[tuple[str, str]]:
    is_secret = bool(target.password or target.client_options.get("access_token"))
    if target.scheme == "https" and target.client_options.get("verify", True) is False:
        yield (
            "verify=false: the certificate of the server is not verified, and anyone on the way "
            "can read and change the events",
            "remove verify, and give the certificate of a private authority as ca_cert",
        )
    if target.scheme == "http" and is_secret and not _is_this_machine(target.host):
        yield (
            "the password and the events travel without TLS to another machine",
            "use https:// and the port with TLS (8443)",
        )
    if target.port in _NATIVE_PORTS:
        yield (
            f"port {target.port} is ClickHouse's port of the native protocol, and audit-handler "
            "speaks HTTP",
            f"use the HTTP port: {_NATIVE_PORTS[target.port]}, unless the server was changed",
        )
    option = f"{target.scheme}_proxy"
    if target.client_options.get(option):
        yield (f"a proxy is used: {option} of client_options", "remove it if the server is near")
    elif target.scheme in getproxies() and not proxy_bypass(f"{target.host}:{target.port}"):
        yield (
            f"a proxy is used: the variable {option.upper()}",
            f"add {target.host} to NO_PROXY if this machine reaches the server without a proxy",
        )


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False
