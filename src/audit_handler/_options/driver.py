"""The options of clickhouse-connect that a dsn or *client_options* may give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from audit_handler.errors import ConfigurationError

__all__ = ["checked"]

# Arguments of `clickhouse_connect.get_client` (1.5) that name the server, and our field of each.
# In the driver they would win over the dsn.
_ADDRESS: Mapping[str, str] = {
    "host": "host",
    "port": "port",
    "interface": "scheme",
    "path": "path",
    "database": "database",
    "username": "user",
    "user": "user",
    "user_name": "user",
    "password": "password",
}
# These contain a whole address, or everything.
_NEVER = frozenset({"dsn", "generic_args", "secure", "hostname"})
# These are no texts.
_OBJECTS = frozenset({"headers", "pool_mgr", "settings", "token_provider", "chdb_options"})
_SWITCH = {
    **dict.fromkeys(("1", "true", "t", "yes", "y", "on"), True),
    **dict.fromkeys(("0", "false", "f", "no", "n", "off"), False),
}


def checked(
    in_dsn: Mapping[str, str], given: Mapping[str, Any], fields: Mapping[str, Any]
) -> dict[str, Any]:
    """
    Return the options *in_dsn* and those *given* as ``client_options``, which win.

    Args:
        in_dsn: The query parameters of the dsn.
        given: The argument *client_options*.
        fields: The fields of the `Target`.

    Raises:
        ConfigurationError: An option contradicts the address or the credentials of the dsn, or is
            not valid. The text has no value of it.
    """
    for name in in_dsn:
        if name in _NEVER or name in _ADDRESS:
            raise ConfigurationError(
                f"the dsn has the query parameter {name}, which would override its address or "
                "credentials; write them before the path, as in "
                "https://user:password@host:8443/database",
                option="dsn",
            )
        if name in _OBJECTS:
            raise ConfigurationError(
                f"the dsn has the query parameter {name}, which is not text; give it in "
                "client_options",
                option="dsn",
            )
    for name, value in given.items():
        field = _ADDRESS.get(name, "")
        said = fields.get(field) or value
        if name in _NEVER or (field and str(said) != str(value)):
            raise ConfigurationError(
                f"client_options has {name}, which contradicts the dsn; name the server, the "
                "database and the user in the dsn only",
                option="client_options",
            )
    options = {**in_dsn, **given}
    if "verify" in options:
        options["verify"] = _verify(options["verify"])
    return options


def _verify(value: Any) -> Any:
    """
    Return *verify* as the driver understands it.

    The driver takes every text that it does not know, ``on`` for example, for False.
    """
    text = str(value).strip().lower()
    if text == "proxy":
        return text
    if text not in _SWITCH:
        raise ConfigurationError(
            "verify is not true, false or proxy; leave it out to verify the server's certificate",
            option="client_options",
        )
    return _SWITCH[text]
