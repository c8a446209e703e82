"""
Keep secrets out of the row: values under secret keys, values beside labels, secrets in texts.
"""

from audit_handler._record.redaction.redactor import Redactor
from audit_handler._record.redaction.values import REDACTED

__all__ = ["REDACTED", "Redactor"]
