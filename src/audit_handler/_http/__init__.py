"""
Audit HTTP requests of any framework: decide which requests are audited, find their action and
resource, and store parts of headers and bodies.

A middleware has one `HttpAuditor`. For each request to audit it gets an `Exchange`, fills it in as
the request and its response pass, and then logs it. This package does not redact values under
secret names: the handler does that for every record, so bodies are passed on as objects whose keys
the handler can see, or as text.
"""

from audit_handler._http.auditor import HttpAuditor, Request
from audit_handler._http.exchange import Exchange
from audit_handler._http.guard import Guard
from audit_handler._http.rules import HttpRules

__all__ = ["Exchange", "Guard", "HttpAuditor", "HttpRules", "Request"]
