"""
Write a row without giving the interpreter lock (GIL) up, while other threads compete for it.

`os.write` gives the lock up, and waits for it afterwards: for a switch interval of 5 ms or two if a
thread computes (`sys.setswitchinterval`). If other threads log, they wait for the spool meanwhile,
and each of these waits is a switch of threads. The write itself only copies the row into the page
cache of the kernel, which takes one to twenty microseconds.

A write that blocks while it holds the lock stops all threads. Therefore it is held on the file
systems of local disks only, only after a thread had to wait, and for some time no more after a disk
was slow.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from operator import attrgetter, methodcaller
from pathlib import Path
from typing import Protocol

from audit_handler._process.imports import imported

__all__ = ["HeldWrite", "held_write_of"]

# A write that gives the lock up and takes longer waited for the lock, or for the disk: 999 of 1,000
# that wait for neither take less than 0.05 ms.
_CONTENDED_SECONDS = 0.001
# A held write that takes longer waited for the disk. One switch interval: so long any thread may
# stop the others.
_SLOW_SECONDS = 0.005
# A write that gives the lock up and takes longer waited for the disk: beside two threads that
# compute, 999 of 1,000 come back within 0.13 s.
_STALLED_SECONDS = 0.5
# A longer row takes the kernel 0.1 ms and more to copy, in which other threads may run.
_LONGEST_HELD = 64 * 1024
# So long the next writes hold the lock after a thread had to wait.
_HELD_SECONDS = 10.0
# So long they do not after a slow write, twice as long after each further one, and at most ten
# minutes, after which a disk is believed to be quick again.
_RELEASED_SECONDS = 10.0
_MOST_RELEASED_SECONDS = 600.0

_call = methodcaller("__call__")
_handle = attrgetter("handle")
# As in `_clock`; a method would cost a Python frame.
_monotonic = partial(time.clock_gettime, time.CLOCK_MONOTONIC)

# Numbers of the file systems whose writes wait for nothing but the page cache, as a rule (statfs(2)
# and linux/magic.h). Not those of a network or of a program (NFS, CIFS, FUSE).
_LOCAL = frozenset(
    {
        0xEF53,  # ext2, ext3, ext4
        0x58465342,  # XFS
        0x9123683E,  # Btrfs
        0xF2F52010,  # F2FS
        0x2FC12FC1,  # ZFS
        0x01021994,  # tmpfs
        0x794C7630,  # overlayfs, the disk of a container
    }
)
# More than a `struct statfs` of any Linux, which begins with the number.
_STATFS_BYTES = 1024


class OpenFile(Protocol):
    """A file that may be closed at any moment: on top of a call, in a forked child."""

    handle: int
    """-1 once it is closed."""


class HeldWrite:
    """
    A ``write`` that holds the interpreter lock while threads compete for it.

    Safe to call from several threads: a state that two of them change at a time is as good as
    either.

    Args:
        held: write(2) that holds the lock: handle, data and number of bytes; -1 for an error.
        now: Returns monotonic seconds.
    """

    __slots__ = ("_held", "_held_until", "_now", "_released_for", "_released_until")

    def __init__(
        self,
        held: Callable[[int, bytes, int], int],
        now: Callable[[], float] = _monotonic,
    ) -> None:
        self._held = held
        self._now = now
        self._held_until = self._released_until = now()
        self._released_for = _RELEASED_SECONDS

    def append(self, file: OpenFile, data: bytes) -> int:
        """
        Append *data*, or the first part of it; return how many bytes were written.

        The handle is read in one step with the write. A signal handler may fork before, and close
        the file in the child, where its number is soon that of another file.

        Raises:
            OSError: As `os.write` does.
        """
        now = self._now
        began = now()
        if began < self._held_until and len(data) <= _LONGEST_HELD:
            # `map` runs no Python code, so there is no step between these: there the interpreter
            # may switch to another thread, whose time would count as that of the disk.
            held = map(self._held, map(_handle, (file,)), (data,), (len(data),))
            began, written, ended = map(_call, (now, held.__next__, now))
            if ended - began > _SLOW_SECONDS:
                self._note_slow_disk(ended)
            # `os.write` raises the error, or goes on after a signal.
            return written if written >= 0 else os.write(file.handle, data)
        written = os.write(file.handle, data)
        ended = now()
        if ended - began > _CONTENDED_SECONDS:
            if ended - began > _STALLED_SECONDS:
                self._note_slow_disk(ended)
            self.note_contention()
        return written

    def note_contention(self) -> None:
        """Note that a thread had to wait: hold the next writes, unless the disk was slow."""
        now = self._now()
        if now >= self._released_until:
            self._held_until = now + _HELD_SECONDS

    def _note_slow_disk(self, now: float) -> None:
        if now - self._released_until > _MOST_RELEASED_SECONDS:
            self._released_for = _RELEASED_SECONDS
        self._held_until, self._released_until = now, now + self._released_for
        self._released_for = min(2 * self._released_for, _MOST_RELEASED_SECONDS)


def held_write_of(directory: Path) -> HeldWrite | None:
    """
    Return a `HeldWrite` for files in *directory*, or None where none is safe or of use.

    Takes 3 ms the first time.
    """
    has_gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    # 64 bits: there, the number of a file system is a C long.
    if not has_gil or sys.platform != "linux" or sys.maxsize < 2**32:
        return None
    try:
        ctypes = imported("ctypes")
        status = ctypes.create_string_buffer(_STATFS_BYTES)
        # CDLL gives the lock up: a file system of a network may not answer.
        if ctypes.CDLL(None).statfs(os.fsencode(directory), status) != 0:
            return None
        if ctypes.c_long.from_buffer(status).value not in _LOCAL:
            return None
        held = ctypes.PyDLL(None).write  # does not give it up
        held.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t)
        held.restype = ctypes.c_ssize_t
    except Exception:  # noqa: BLE001  # where ctypes is missing or forbidden; `os.write` does it too
        return None
    return HeldWrite(held)
