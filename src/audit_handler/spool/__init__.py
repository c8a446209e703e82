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
3. A segment has 1 to *batch_size* rows, at most *batch_bytes* bytes, and rows of at most 64 months:
   each is a partition in ClickHouse, which limits the partitions of one insert.
4. Names only change ``.open`` -> ``.ready`` -> ``.sending`` -> removed, each in one step. A file is
   removed only when every row of it is stored, or is in ``rejected/``, or was counted as dropped
   because ``rejected/`` has no space.
5. Only the user can read the files (0600, directories 0700).

Syncs: with fsync="never" there are none, and a power loss may take rows that the kernel has not
written yet. With "batch", a segment is synced before it is sent, and then its new name is: a power
loss never makes an attempted segment look new. With "always", every row is also synced before
`Spool.put` returns; concurrent callers share one sync.

Recovery runs at start and every few seconds. A writer directory whose lock can be taken belongs to
a dead process. A torn last line is cut off (its logger call never returned), empty files are
removed, and an ``.open`` file becomes ``.ready``. A ``.sending`` file keeps its name: its rows must
be looked up in ClickHouse before they are sent again. There are no other cases, because every
change is one append or one rename. Recovery touches only directories and files that have a writer's
names, and no link and no file of another user.

A signal handler or finalizer may interrupt a thread anywhere. If it logs an audit event, its call
returns at once, and the row is appended when the interrupted call ends. If it flushes, it gets an
answer without waiting. If it raises, the next call finishes the interrupted one, from the content
of the file.

The modules that a row passes through: `_spool` (the queue) -> `_reentry` (interruptions) ->
`_intake` (bounds) -> `_writer` (numbers) -> `_open_segment` (the file). The sealed segment goes
through `_queue` -> `_taken` to the listener; rejected rows go through `_quarantine` into
`_rejected`. `_recovery` finds the segments of dead processes, and `_adopted` holds them until they
are delivered.
"""

from audit_handler.spool._files import DiskFiles, Files, Found
from audit_handler.spool._held_write import HeldWrite, held_write_of
from audit_handler.spool._inventory import (
    RejectedBatch,
    SpooledRow,
    WaitingWriter,
    rejected,
    spooled_rows,
    waiting,
)
from audit_handler.spool._memory import MemoryFiles
from audit_handler.spool._own import stranger_of
from audit_handler.spool._recovery import adopt_dead_writers, has_leftovers, neglected_targets
from audit_handler.spool._rejected import Reason, RejectedRows, rejected_directory
from audit_handler.spool._segment import Segment, SegmentGone, SegmentUnreadable
from audit_handler.spool._spool import Appending, Spool
from audit_handler.spool._writer import ROW_OVERHEAD_BYTES

__all__ = [
    "ROW_OVERHEAD_BYTES",
    "Appending",
    "DiskFiles",
    "Files",
    "Found",
    "HeldWrite",
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
    "held_write_of",
    "neglected_targets",
    "rejected",
    "rejected_directory",
    "spooled_rows",
    "stranger_of",
    "waiting",
]
