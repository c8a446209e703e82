"""`HttpRules`: the options of a middleware, checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from audit_handler._record.redaction import Redactor
from audit_handler.errors import ConfigurationError
from audit_handler.policy import Clause, Policy, Rule

__all__ = ["HttpRules"]

_METHODS = ("POST", "PUT", "PATCH", "DELETE")
_PATH_PREFIXES = ("/api",)

_redactor = Redactor()


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRules:
    """
    Which requests to audit, how much of each to store, and which proxies to trust.

    *methods*, *path_prefixes* and *exclude_paths* are the short form of a policy of one or two
    rules, with the level ``request_response``.

    Raises:
        ConfigurationError: An option cannot work. The text names option, value and remedy.
    """

    methods: Iterable[str] | None = None
    """Methods to audit; by default POST, PUT, PATCH and DELETE."""
    path_prefixes: Iterable[str] | None = None
    """
    Prefixes of the paths to audit, in whole segments; by default ``/api``, which does not match
    ``/apis``.
    """
    exclude_paths: Iterable[str] | None = None
    """
    Prefixes of the paths not to audit; ``*`` stands for one segment: ``/api/orders/*/approve``.
    """
    request_headers: Iterable[str] = ("content-type", "user-agent", "origin")
    """Headers of the request to store."""
    response_headers: Iterable[str] = ("content-type",)
    """Headers of the response to store."""
    max_body_bytes: int = 64 * 1024
    """
    Bytes to store of each body, 0 (no bodies) to 1 MiB. The handler's *max_value_bytes*, by default
    also 64 KiB, cuts values too.
    """
    policy: Iterable[Rule | Mapping[str, Any]] | None = None
    """
    Rules to use instead of the short form; the first that matches decides. See
    `audit_handler.policy`.
    """
    trusted_proxies: Iterable[str] = ()
    """
    Addresses and networks of the proxies whose X-Forwarded-For is trusted, and ``unix`` for a proxy
    that connects over a Unix socket; by default none.
    """
    networks: tuple[IPv4Network | IPv6Network, ...] = field(init=False, repr=False)
    trusts_unix: bool = field(init=False, repr=False)
    _policy: Policy = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for option in ("request_headers", "response_headers"):
            self._set(option, tuple(name.lower() for name in _listed(getattr(self, option), ())))
            for name in getattr(self, option):
                if _redactor.is_secret(name):
                    raise ConfigurationError(f"{option} names {name!r}, a secret; leave it out")
        if not 0 <= self.max_body_bytes <= 1024 * 1024:
            raise ConfigurationError(
                f"max_body_bytes={self.max_body_bytes} is out of range; use 0 to 1,048,576"
            )
        trusted = _listed(self.trusted_proxies, ())
        self._set("trusted_proxies", trusted)
        self._set("networks", tuple(_network(name) for name in trusted if name != "unix"))
        self._set("trusts_unix", "unix" in trusted)
        self._set("_policy", self._make_policy())

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _make_policy(self) -> Policy:
        short_form = ("methods", "path_prefixes", "exclude_paths")
        given = [option for option in short_form if getattr(self, option) is not None]
        if self.policy is not None:
            if given:
                raise ConfigurationError(
                    f"both policy and {given[0]} are given; move {given[0]} into the policy's rules"
                )
            return Policy(self.policy)
        methods = _listed(self.methods, _METHODS)
        prefixes = _listed(self.path_prefixes, _PATH_PREFIXES)
        excluded = _listed(self.exclude_paths, ())
        for path in (*prefixes, *excluded):
            if not path.startswith("/"):
                raise ConfigurationError(f"path {path!r} does not start with a slash; add one")
        rules = [Rule(level="none", paths=excluded)] if excluded else []
        if methods and prefixes:
            rules.append(Rule(level="request_response", methods=methods, paths=prefixes))
        return Policy(rules)

    def candidates(self, method: str, path: str) -> tuple[Clause, ...]:
        """
        Return the rules that can still match a request of *method* to *path*, in their order.
        """
        return self._policy.candidates(method, path)


def _listed(values: Iterable[str] | None, default: Iterable[str]) -> tuple[str, ...]:
    if values is None:
        return tuple(default)
    return (values,) if isinstance(values, str) else tuple(values)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as exc:
        raise ConfigurationError(
            f"trusted_proxies has {text!r}: {exc}; name an address or a network, '10.0.0.0/8', or "
            "'unix' for a Unix socket"
        ) from None
