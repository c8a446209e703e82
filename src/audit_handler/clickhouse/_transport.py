"""The HTTP pool of a connection: it follows no redirect, and remembers what answered."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from audit_handler.clickhouse._acknowledgement import Answer, ForeignAnswer
from audit_handler.target import Target

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client
    from urllib3 import BaseHTTPResponse, PoolManager

__all__ = ["Transport", "pool_for", "transport_of"]

# The driver writes it once. Parsing all settings of an insert takes longer.
_QUERY_ID = re.compile(r"[?&]query_id=([^&#]*)")

# Of a page, this much is read to say what answered.
_READ_BYTES = 1024

# HTTP statuses from here on are errors.
_ERRORS = 400


class Transport:
    """
    Stands between the driver and *pool*, as its pool manager.

    The driver follows redirects, with a body that is empty by then, and believes every 2xx.

    Args:
        pool: Sends the requests.
        secrets: Texts that the text of an answer does not show.
    """

    def __init__(self, pool: PoolManager, secrets: Collection[str] = ()) -> None:
        self._pool = pool
        self._secrets = secrets
        self.answer: Answer | None = None
        """The last answer, or None if the last request has no answer."""

    def request(self, method: str, url: str, **options: Any) -> BaseHTTPResponse:
        """
        Send one request, as `urllib3.PoolManager.request` does.

        Raises:
            ForeignAnswer: ClickHouse did not answer, or it answered another request.
            urllib3.exceptions.HTTPError: No answer.
        """
        self.answer = None
        query_id = unquote(found[1]) if (found := _QUERY_ID.search(url)) else ""
        response = self._send(method, url, redirect=False, **options)
        is_whole = options.get("preload_content", True)
        answer = Answer(
            response.status,
            response.headers,
            query_id,
            response.data if is_whole else b"",
            self._secrets,
        )
        self.answer = answer
        if answer.is_foreign:
            if not is_whole:
                body = response.read(_READ_BYTES, decode_content=False)
                self.answer = replace(answer, body=body)
            response.close()
            # An answer to another request would be followed by one more on the same connection.
            self._pool.clear()
            raise ForeignAnswer(self.answer)
        if answer.status >= _ERRORS and not answer.is_own:
            # A proxy that refuses a request may end the connection without saying so. The next
            # request would be reset, and an insert whose outcome is unknown is not split.
            self._pool.clear()
        return response

    def _send(self, method: str, url: str, **options: Any) -> BaseHTTPResponse:
        if self._pool.proxy is not None:
            return self._pool.request(method, url, **options)
        # The manager would encode the settings of an insert, character by character, only to find
        # the host, and its pool does so again: 0.15 ms each.
        scheme, netloc, path, query, _ = urlsplit(url)
        pool = self._pool.connection_from_url(f"{scheme}://{netloc}")
        return pool.request(method, urlunsplit(("", "", path or "/", query, "")), **options)

    def clear(self) -> None:
        """Close all connections; the next request opens one."""
        self._pool.clear()

    def close(self) -> None:
        """Close all connections, and let the driver forget this pool."""
        from clickhouse_connect.driver.httputil import all_managers

        self._pool.clear()
        # The driver enters each pool there, to renew old connections.
        all_managers.pop(self, None)  # type: ignore[call-overload]


def transport_of(client: Client) -> Transport | None:
    """Return the transport of *client*, or None if its engine is embedded."""
    http = getattr(client, "http", None)
    return http if isinstance(http, Transport) else None


def pool_for(target: Target) -> PoolManager:
    """
    Return a pool for *target*. It is made as the driver makes it, from the options of the driver
    that are about TLS and proxies; but it is not shared with the application's own clients.
    """
    from clickhouse_connect.driver.httputil import (
        all_managers,
        check_env_proxy,
        get_pool_manager,
    )

    given = target.client_options
    options = _tls_options(given) if target.scheme == "https" else {}
    proxy = target.scheme == "https" and (
        given.get("https_proxy") or check_env_proxy("https", target.host, target.port)
    )
    if proxy:
        options["https_proxy"] = proxy
    elif not options:
        options["http_proxy"] = given.get("http_proxy") or check_env_proxy(
            "http", target.host, target.port
        )
    pool: PoolManager = get_pool_manager(**options)
    # `Transport` is entered instead.
    all_managers.pop(pool, None)
    return pool


def _tls_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the pool for those of *given* that differ from the default."""
    from clickhouse_connect.driver.common import coerce_bool

    verify = given.get("verify", True)
    # "proxy" is about the login. It verifies, too.
    is_verified = str(verify).lower() == "proxy" or coerce_bool(verify)
    options = {
        name: given[name]
        for name in ("ca_cert", "client_cert", "client_cert_key")
        if given.get(name)
    }
    if name := given.get("server_host_name"):
        options["server_hostname"] = name
        if is_verified:
            options["assert_hostname"] = name
    return options if is_verified else {**options, "verify": False}
