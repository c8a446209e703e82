"""
The ordinary logger call in C, where the package was built with a compiler.

`_record` and `spool` are the reference. A record of plain values, for a spool that is open, is
encoded and appended by `_call.c` in a third to a quarter of the time; every other one, and every
text that may hold a secret, goes to them. `program` translates the patterns of the redaction, and
`ordinary` gives `_call.c` the objects of one pipeline, so that each rule exists once.

``AUDIT_HANDLER_PURE=1`` in the environment leaves the extension out.
"""

from audit_handler._native.ordinary import call_of, path

__all__ = ["call_of", "path"]
