"""`Redactors`: remove secrets from the values that a middleware reads from a request."""

from __future__ import annotations

from collections.abc import Sequence

from audit_handler._record.redaction import Redactor

__all__ = ["Redactors"]


class Redactors:
    """
    The redactors of all handlers that an audit event reaches; a value is secret if one of them says
    so.

    A handler redacts values by their keys. The path, and body values that become text columns, no
    longer have keys when they reach the handler, so they are redacted here.
    """

    def __init__(self, redactors: Sequence[Redactor]) -> None:
        self._redactors = redactors

    def excepting(self, names: tuple[str, ...]) -> Redactors:
        """Return the same, for which the values of *names* are not secret."""
        if not names:
            return self
        return Redactors([redactor.excepting(names) for redactor in self._redactors])

    def is_secret(self, key: str) -> bool:
        """Return whether the value of *key* is secret."""
        for redactor in self._redactors:  # noqa: SIM110  # a generator costs more than the loop
            if redactor.is_secret(key):
                return True
        return False

    def clean_text(self, text: str) -> str:
        """Return *text* with the secrets in it redacted."""
        for redactor in self._redactors:
            text = redactor.clean_text(text)
        return text
