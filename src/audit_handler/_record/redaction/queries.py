"""Parameters of queries and forms that are secret because of others beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from audit_handler._record.redaction.spans import Span

__all__ = ["secrets_in_queries"]

# In a query or form only: a signed URL's signature, and OAuth's code beside its state. A code alone
# is a key of Azure Functions if it is long.
_QUERY_NAME = re.compile(
    r"(?:(?<=[?&;,\s\"'])|^)(?:sig|signature|x-amz-signature|x-goog-signature|code)=(?=[^&\s])",
    re.IGNORECASE,
)
_BESIDE_CODE = re.compile(
    r"(?:^|[?&#])(?:state|grant_type|redirect_uri|client_id|session_state|iss)="
)
_LONG_CODE = re.compile(r"""[^\s&#"'<>]{40}""")
_SIGNED = re.compile(
    r"(?:^|[?&;,])(?:expires|key-pair-id|policy|se|sv|sp|sr|skn|x-amz-[\w-]+|x-goog-[\w-]+)=",
    re.IGNORECASE,
)
# A URL, or a form.
_RUN = re.compile(r"[^\s\"'<>]+")
_VALUE = re.compile(r"""[^\s&#"<>]*""")


# A key of an API, and not that of an object in a store.
_API_KEY = re.compile(
    r"\b(?i:api)\b[^\s\"'<>?]{0,200}\?(?:[^\s\"'<>#?]{0,400}&)?key="
    r"([0-9A-Fa-f]{32,}|(?=\w{0,200}\d)(?=\w{0,200}[a-z])(?=\w{0,200}[A-Z])\w{25,200})(?![\w./-])"
)


def secrets_in_queries(text: str) -> Iterator[Span]:
    """Yield the place of each secret value in the queries and forms in *text*."""
    if "=" not in text:
        return
    if "key=" in text:
        for key in _API_KEY.finditer(text):
            yield key.span(1)
    for run in _RUN.finditer(text):
        begin, stop = run.span()
        is_signed: bool | None = None
        has_state: bool | None = None
        done = begin
        for name in _QUERY_NAME.finditer(text, begin, stop):
            start = name.end()
            if start <= done:
                continue  # in a value
            if name[0][0] in "cC":
                if has_state is None:
                    has_state = _BESIDE_CODE.search(text, begin, stop) is not None
                is_secret = has_state or _LONG_CODE.match(text, start, stop) is not None
            else:
                if is_signed is None:
                    is_signed = _SIGNED.search(text, begin, stop) is not None
                is_secret = is_signed
            if is_secret and (value := _VALUE.match(text, start, stop)):
                yield value.span()
                done = value.end()
