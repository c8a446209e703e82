"""The ``audit-handler`` command: set up, read and check an audit trail."""

import sys

try:
    import click  # noqa: F401
    import dotenv  # noqa: F401
    import rich  # noqa: F401
except ImportError:
    sys.exit("The command line needs an extra: pip install 'audit-handler[cli]'")

from audit_handler.cli._main import main

__all__ = ["main"]
