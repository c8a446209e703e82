"""Errors of the driver about its own options, which no retry can pass."""

from __future__ import annotations

from collections.abc import Collection

from audit_handler.clickhouse._shown import shown
from audit_handler.errors import DeliveryError, SetupError
from audit_handler.target import Target

__all__ = ["is_about_options", "option_fault"]

_REMEDY = "correct it or leave it out; the dsn gives options too, as query parameters"
_PROXY_REMEDY = (
    "write it as http://user:password@proxy:3128, with user and password percent-encoded, in "
    "client_options or in the variables HTTP_PROXY or HTTPS_PROXY"
)


def is_about_options(exc: BaseException, target: Target) -> bool:
    """Return whether *exc*, raised by an attempt to connect to *target*, is about an option."""
    from clickhouse_connect.driver.exceptions import ProgrammingError

    if isinstance(exc, DeliveryError):
        # An engine that does not open is a ProgrammingError too; and a refusal of the server's
        # profile, which has a remedy of its own.
        is_refusal = isinstance(exc.__cause__, ProgrammingError) and not target.is_embedded
        return is_refusal and exc.code is None and not exc.remedy
    # The driver passes what it does not check to Python and urllib3.
    return isinstance(exc, TypeError | ValueError | AttributeError)


def option_fault(exc: BaseException, target: Target, secrets: Collection[str]) -> SetupError:
    """
    Return the error for *exc*, with the name of the option and without the value of one that may
    be a secret.
    """
    from urllib3.exceptions import LocationParseError, LocationValueError

    if isinstance(exc, LocationParseError | LocationValueError):
        # Its text is a piece of the address, of the password for example.
        return SetupError("the address of the proxy cannot be read", remedy=_PROXY_REMEDY)
    said = shown(str(exc), secrets)
    names = [name for name in target.client_options if name in said] or [*target.client_options]
    named = ", ".join(names) or "none"
    return SetupError(
        f"client_options do not fit clickhouse-connect ({shown(named, secrets)}): {said}",
        remedy=_REMEDY,
    )
