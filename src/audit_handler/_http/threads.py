"""
Run a blocking function in a thread while the event loop goes on.

There are two functions, because their callers need different things. An audit must be logged to its
end, even when its request is cancelled or no thread can be had. A status page must not read files
on the event loop, not even on trio's.
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

    The call is made and runs to its end even if the waiting task is cancelled. Without a running
    asyncio loop, as under trio, or with one that is closing, it is made here and blocks.
    """
    try:
        loop = asyncio.get_running_loop()
        # Not anyio's threads: a task that is cancelled while it waits for one would never log.
        finished = loop.run_in_executor(None, copy_context().run, function)
    except RuntimeError:
        function()
    else:
        # Unshielded, a cancelled wait would also cancel a call that has not started.
        await asyncio.shield(finished)


async def run_in_thread(function: Callable[[], _T]) -> _T:
    """
    Return the result of *function*, which runs in a thread.

    The thread is anyio's where a framework has loaded anyio, because anyio also knows trio.
    """
    if "anyio" in sys.modules:
        result: _T = await import_module("anyio.to_thread").run_sync(function)
        return result
    return await asyncio.to_thread(function)
