"""
The spool: rows on their way to ClickHouse, as segments on disk. It does not know ClickHouse.

Layout, below the directory of one target (one table of one server)::

    <writer_id>/                       one per process; its lock is held while the process lives
        lock
        00000000000000000001.open      rows 1, 2, ...: one JSON object a line, appended to
        00000000000000000001.ready     sealed: never written again
        00000000000000000001.sending   an insert was attempted: its rows may be stored
        00000000000000000001.unreadable   quarantined: the disk does not return what was written
    rejected/                          rows that ClickHouse rejected, and its reasons

Invariants:

1. A row is written with one ``write`` before `Spool.put` returns, so it survives the end of the
   process.
2. The rows of a writer are numbered 1, 2, 3, ... without a gap; a file's name is the number of its
   first row.
3. A segment has 1 to *batch_size* rows, at most *batch_bytes* bytes, and rows of one month.
4. Names only change ``.open`` -> ``.ready`` -> ``.sending`` -> removed, each in one step. A file is
   removed only when every row of it is stored, or is in ``rejected/``.
5. Only the user can read the files (0600, directories 0700).

What is synced: with fsync="never" nothing, and a power loss may take what the kernel had not
written. With "batch" a segment before it is sent, then its new name: a power loss never makes an
attempted segment look new. With "always" also every row before `Spool.put` returns; concurrent
callers share one sync.

Recovery runs at start and every few seconds. A writer directory whose lock can be taken belongs to
a dead process. A torn last line is cut off (its logger call never returned), empty files are
removed, and an ``.open`` file becomes ``.ready``. A ``.sending`` file keeps its name: its rows must
be looked up in ClickHouse before they are sent again. These are all cases, whatever the process was
doing when it died, because every change is one append or one rename. Recovery touches only
directories and files that are named like a writer's, and no link and no file of another user.

A thread may be interrupted anywhere, by a signal handler or finalizer. One that logs an audit
returns at once, and the row is appended when the interrupted call ends. One that flushes gets an
answer without waiting. After one that raises, the next call finishes what was half done, from the
content of the file.

The way of a row through the modules: `_spool` (the queue) -> `_reentry` (interruptions) ->
`_intake` (bounds) -> `_writer` (numbers) -> `_open_segment` (the file); sealed, it goes through
`_queue` -> `_taken` to the listener, and perhaps into `_rejected`. `_recovery` finds what dead
processes left, and `_adopted` holds it until it is delivered.
"""

from audit_handler.spool._files import DiskFiles, Files
from audit_handler.spool._inventory import (
    RejectedBatch,
    SpooledRow,
    WaitingWriter,
    rejected,
    spooled_rows,
    waiting,
)
from audit_handler.spool._memory import MemoryFiles
from audit_handler.spool._recovery import adopt_dead_writers, has_leftovers, neglected_targets
from audit_handler.spool._rejected import Reason, RejectedRows, rejected_directory
from audit_handler.spool._segment import Segment, SegmentGone, SegmentUnreadable
from audit_handler.spool._spool import Spool
from audit_handler.spool._writer import ROW_OVERHEAD_BYTES

__all__ = [
    "ROW_OVERHEAD_BYTES",
    "DiskFiles",
    "Files",
    "MemoryFiles",
    "Reason",
    "RejectedBatch",
    "RejectedRows",
    "Segment",
    "SegmentGone",
    "SegmentUnreadable",
    "Spool",
    "SpooledRow",
    "WaitingWriter",
    "adopt_dead_writers",
    "has_leftovers",
    "neglected_targets",
    "rejected",
    "rejected_directory",
    "spooled_rows",
    "waiting",
]
