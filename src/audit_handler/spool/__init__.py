"""
The spool: rows on their way, as segments on disk. Knows nothing of ClickHouse.

Layout, below the directory of one target (one table of one server)::

    <writer_id>/                       one per process; its lock is held while the process lives
        lock
        00000000000000000001.open      rows 1, 2, ...: one JSON object a line, appended to
        00000000000000000001.ready     sealed: never written again
        00000000000000000001.sending   an insert was attempted: its rows may be stored
        00000000000000000001.unreadable   set aside: the disk does not give it back as it was
    rejected/                          rows that ClickHouse refused, beside an .error.json each

Invariants:

1. A row is written with one ``write`` before `Spool.put` returns, so it survives the end of the
   process.
2. The rows of a writer are numbered 1, 2, 3, ... without a gap; a file's name is the number of its
   first row.
3. A segment has 1 to *batch_size* rows, at most *batch_bytes* bytes, and rows of one month.
4. Names only change ``.open`` -> ``.ready`` -> ``.sending`` -> gone, each in one step. A file is
   gone only when every row of it is stored, or stands in ``rejected/``.
5. Files are readable by their user alone (0600, directories 0700).

What is synced: with fsync="never" nothing, and a power loss may take what the kernel had not
written; with "batch" a segment before it is sent, then the new name, so that a power loss never
makes an attempted segment look new; with "always" also every row before `Spool.put` returns,
concurrent callers sharing one sync.

Recovery, at start and while running: a writer directory whose lock can be taken belongs to a dead
process. In its files, a torn last line is cut off (its logger call never returned) and empty files
are removed; an ``.open`` one becomes ``.ready``. A ``.sending`` one keeps its name: it must be
looked up in ClickHouse before it is sent again. Whatever the process was doing when it died, it is
one of these cases, since every change is one append or one rename. Only directories and files that
are named like a writer's are touched, and none that is a link or belongs to another user.

A thread may be interrupted anywhere: by a signal handler or finalizer that logs an audit itself (it
is taken when the interrupted call is over), that flushes (which then only answers), or that raises
(what was half done is settled by the next call, from what the file says).
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
from audit_handler.spool._recovery import adopt_dead_writers, has_leftovers, rejected_directory
from audit_handler.spool._segment import Segment, SegmentGone, SegmentUnreadable
from audit_handler.spool._spool import Spool
from audit_handler.spool._writer import ROW_OVERHEAD_BYTES

__all__ = [
    "ROW_OVERHEAD_BYTES",
    "DiskFiles",
    "Files",
    "MemoryFiles",
    "RejectedBatch",
    "Segment",
    "SegmentGone",
    "SegmentUnreadable",
    "Spool",
    "SpooledRow",
    "WaitingWriter",
    "adopt_dead_writers",
    "has_leftovers",
    "rejected",
    "rejected_directory",
    "spooled_rows",
    "waiting",
]
