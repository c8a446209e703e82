"""
Run a blocking function in a thread while the event loop continues.

There are two functions, because their callers need different things. An audit event must be logged
completely, even if its request is cancelled or no thread is available. A status page must not read
files on the event loop, including trio's.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextvars import copy_context
from importlib import import_module
from typing import TypeVar

__all__ = ["finish_in_thread", "run_in_thread"]

_T = TypeVar("_T")


async def finish_in_thread(function: Callable[[], object]) -> None:
    """
    Call *function* in a thread of asyncio, in a copy of this context, and wait for its end.

    The call runs to its end even if the waiting task is cancelled. Without a running asyncio loop,
    as under trio, or with a loop that is closing, the call runs here and blocks.
    """
    try:
        loop = asyncio.get_running_loop()
        # Not anyio's threads: a task that is cancelled while it waits for a thread would never log.
        finished = loop.run_in_executor(None, copy_context().run, function)
    except RuntimeError:
        function()
    else:
        # Unshielded, a cancelled wait would also cancel a call that has not started.
        await asyncio.shield(finished)


async def run_in_thread(function: Callable[[], _T]) -> _T:
    """
    Return the result of *function*, which runs in a thread.

    The thread is anyio's if a framework has loaded anyio, because anyio also works with trio.
    """
    if "anyio" in sys.modules:
        result: _T = await import_module("anyio.to_thread").run_sync(function)
        return result
    return await asyncio.to_thread(function)
