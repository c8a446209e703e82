"""What is secret in what a middleware reads out of a request itself."""

from __future__ import annotations

from collections.abc import Sequence

from audit_handler._record.redaction import Redactor

__all__ = ["Redactors"]


class Redactors:
    """
    Those of all handlers that an audit reaches: secret is what one of them takes for a secret.

    A handler redacts what has keys; from the path, and from bodies whose values become columns of
    text, the keys are gone by then.
    """

    def __init__(self, redactors: Sequence[Redactor]) -> None:
        self._redactors = redactors

    def is_secret(self, key: str) -> bool:
        """Whether the value of *key* is to be redacted."""
        for redactor in self._redactors:  # noqa: SIM110  # a generator costs more than the look
            if redactor.is_secret(key):
                return True
        return False

    def clean_text(self, text: str) -> str:
        """Return *text* with the secrets in it redacted."""
        for redactor in self._redactors:
            text = redactor.clean_text(text)
        return text
