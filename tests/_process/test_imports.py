"""Late imports beside forks."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from audit_handler._process import imports

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")

# A thread imports a module, whose import ends when the parent begins to fork.
FORKS = """
import logging, os, sys, threading
import audit_handler
from importlib.abc import MetaPathFinder

is_importing, may_end = threading.Event(), threading.Event()

class Slow(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {module!r} and threading.current_thread() is not threading.main_thread():
            is_importing.set()
            assert may_end.wait(60)

sys.meta_path.insert(0, Slow())
os.register_at_fork(before=may_end.set)  # it is called before those that came earlier

def use():
    {use}

thread = threading.Thread(target=use)
thread.start()
assert is_importing.wait(60)
child = os.fork()
if not child:
    use()
    os.write(1, b"the child goes on")
    os._exit(0)
os.waitpid(child, 0)
thread.join()
"""

# A thread imports, and does not finish until the parent has forked.
IMPORTS_FOR_EVER = """
import os, threading
from audit_handler._process import imports
from audit_handler.clickhouse._loading import load_driver

imports._PATIENCE_SECONDS = 0.01
is_importing, may_end = threading.Event(), threading.Event()

def hold():
    with imports._importing:
        is_importing.set()
        may_end.wait(60)

holder = threading.Thread(target=hold)
holder.start()
is_importing.wait(60)
child = os.fork()
if not child:
    os.write(1, load_driver(is_embedded=False).__name__.encode())
    os._exit(0)
os.waitpid(child, 0)
may_end.set()
holder.join()
load_driver(is_embedded=False)
os.write(1, b", and in the parent")
"""

# dictConfig imports the handler while it holds the lock of logging, which a fork waits for.
FORKS_BESIDE_DICTCONFIG = """
import logging, os, threading
import audit_handler
from audit_handler._process import imports

imports._PATIENCE_SECONDS = 0.2
is_configuring, is_forking = threading.Event(), threading.Event()

def configure():
    with logging._lock:
        is_configuring.set()
        assert is_forking.wait(60)
        audit_handler.AuditHandler

thread = threading.Thread(target=configure)
thread.start()
assert is_configuring.wait(60)

# It is called first: the hooks of this package and then of logging come after it.
os.register_at_fork(before=lambda: (imports._importing.acquire(), is_forking.set()))
child = os.fork()
if not child:
    os._exit(0)
imports._importing.release()
os.waitpid(child, 0)
thread.join()
os.write(1, b"both go on")
"""


def said_by(program: str) -> str:
    # From Python 3.12 on, a fork beside threads warns.
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert b"" == done.stderr
    return done.stdout.decode()


@pytest.mark.parametrize(
    ("module", "use"),
    [
        ("audit_handler.handler", "audit_handler.AuditHandler"),
        ("audit_handler._record.differences", "audit_handler.changes({}, {1: 2})"),
        ("audit_handler.policy", "audit_handler.policy.Rule"),
    ],
)
def test_a_fork_waits_for_a_late_import_of_another_thread(module: str, use: str) -> None:
    """The child waited forever for the lock of the module."""
    assert "the child goes on" == said_by(FORKS.format(module=module, use=use))


def test_a_module_that_was_imported_needs_no_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call of `changes` would wait while the listener imports the driver."""
    first = imports.imported("audit_handler._record.differences")
    monkeypatch.setattr(imports, "_importing", None)

    assert imports.imported("audit_handler._record.differences") is first


def test_a_fork_and_a_configuration_of_logging_do_not_wait_for_each_other_forever() -> None:
    assert "both go on" == said_by(FORKS_BESIDE_DICTCONFIG)


def test_a_fork_does_not_wait_forever_and_child_and_parent_can_load_the_driver() -> None:
    assert "clickhouse_connect, and in the parent" == said_by(IMPORTS_FOR_EVER)
