"""
The rules of an audited HTTP request, whatever the framework: which requests count, what they did to
what, and how much of headers and bodies is kept.

A middleware has one `HttpAuditor`. For each request that is audited it gets an `Exchange`, hands it
what passes by, and has it logged. Nothing here redacts values under secret names: the handler does
that for whatever is logged, so bodies are handed on as objects, whose keys it can see.
"""

from audit_handler._http.auditor import HttpAuditor, Request
from audit_handler._http.exchange import Exchange
from audit_handler._http.guard import Guard
from audit_handler._http.rules import HttpRules

__all__ = ["Exchange", "Guard", "HttpAuditor", "HttpRules", "Request"]
