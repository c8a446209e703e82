"""The ``audit-handler`` command: what operators and auditors do around the handler."""

import sys

try:
    import click  # noqa: F401
    import dotenv  # noqa: F401
    import rich  # noqa: F401
except ImportError:
    sys.exit("the command line needs an extra: pip install 'audit-handler[cli]'")

from audit_handler.cli._main import main

__all__ = ["main"]
