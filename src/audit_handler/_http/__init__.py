"""
Auditing HTTP requests, whatever the framework: which requests are audited, what they did to which
resource, and how much of headers and bodies is stored.

A middleware has one `HttpAuditor`. For each request to audit it gets an `Exchange`, fills it in as
the request and its response pass, and has it logged. This package does not redact values under
secret names: the handler does that for every record, so bodies are passed on as objects whose keys
it can see.
"""

from audit_handler._http.auditor import HttpAuditor, Request
from audit_handler._http.exchange import Exchange
from audit_handler._http.guard import Guard
from audit_handler._http.rules import HttpRules

__all__ = ["Exchange", "Guard", "HttpAuditor", "HttpRules", "Request"]
