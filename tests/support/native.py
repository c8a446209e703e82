"""
The extension in the tests.

Every pipeline of a test encodes in C from its first record on, where the extension is installed and
``AUDIT_HANDLER_PURE`` is not set. With ``AUDIT_TEST_COMPARE=1``, C also encodes each record that
Python encodes, and a difference fails the test: ``make test`` runs the suite in both ways.
"""

from __future__ import annotations

import functools
import importlib
import logging
import os
import re
from typing import Any
from weakref import WeakKeyDictionary

import pytest

from audit_handler import AuditHandler
from audit_handler._delivery.pipeline import Pipeline
from audit_handler._native import call_of
from audit_handler._native.ordinary import EXTENSION, PURE
from audit_handler._record.encoder import RecordEncoder

__all__ = [
    "as_it_is",
    "call_in",
    "compare_every_encode",
    "encoded_in_c",
    "is_installed",
    "needs_extension",
    "quick",
    "why_not",
]

_ID = re.compile(rb'("event_id":")[0-9a-f-]{36}"')
# In a test that replaces it, the original would compare what it made itself.
_encode = RecordEncoder.encode


def is_installed() -> bool:
    """Return whether the extension can be loaded, even if it is not to be used."""
    try:
        importlib.import_module(EXTENSION)
    except ImportError:
        return False
    return True


needs_extension = pytest.mark.extension


def why_not() -> str:
    """Return why the tests marked *extension* are left out; nothing if they run."""
    if os.environ.get(PURE, "0") == "1":
        return f"{PURE}=1"
    return "" if is_installed() else "it is not installed, for a checkout see hatch_build.py"


def quick() -> None:
    """Let every pipeline of this process encode in C at once, not from its first delivery on."""
    original = Pipeline.__init__

    @functools.wraps(original)
    def init(self: Pipeline, *args: Any, **options: Any) -> None:
        original(self, *args, **options)
        self.quicken()

    Pipeline.__init__ = init  # type: ignore[method-assign]


def call_in(handler: AuditHandler) -> Any:
    """Return the ``Call`` of an open handler; it has counted what it did."""
    pipeline = handler._pipelines.open
    assert pipeline is not None
    return pipeline.put.__self__  # type: ignore[attr-defined]


def encoded_in_c(encoder: RecordEncoder, record: logging.LogRecord) -> tuple[bytes, str] | None:
    """Return what C makes of *record*, or None if it hands it back."""
    made: tuple[bytes, str] | None = call_of(encoder, None).encode(record)
    return made


def as_it_is(encoded: tuple[bytes, str]) -> tuple[bytes, str]:
    """Return what an encoder made, without the id that is another one for each row."""
    return _ID.sub(rb'\1"', encoded[0], count=1), encoded[1]


def compare_every_encode() -> None:
    """Compare C with Python for each record from now on."""
    calls: WeakKeyDictionary[RecordEncoder, Any] = WeakKeyDictionary()

    @functools.wraps(_encode)
    def encode(self: RecordEncoder, record: logging.LogRecord) -> tuple[bytes, str]:
        made = _encode(self, record)
        if self not in calls:
            os.environ[PURE], before = "0", os.environ.get(PURE)
            try:
                calls[self] = call_of(self, None)
            finally:
                if before is None:
                    del os.environ[PURE]
                else:
                    os.environ[PURE] = before
        call = calls[self]
        in_c = call and call.encode(record)
        if in_c is not None:
            assert as_it_is(made) == as_it_is(in_c), "C and Python encode a record differently"
        return made

    RecordEncoder.encode = encode  # type: ignore[method-assign]
