"""Deliver segments in order; if the table rejects all rows of one, let later ones decide why."""

from __future__ import annotations

from audit_handler._delivery.attempt import Delivery
from audit_handler._delivery.rejection import TableSuspected
from audit_handler._delivery.trouble import Trouble
from audit_handler.clickhouse import Destination
from audit_handler.spool import Segment, SegmentGone, SegmentUnreadable, Spool
from audit_handler.status import Counters

__all__ = ["Deliveries"]


class Deliveries:
    """
    Delivers the segments of *spool*. Belongs to the thread that takes them.

    A segment of which the table rejects every row is held back while later ones are tried: the next
    one and the newest. If the table accepts rows of those, the rows of the first one are bad, and
    are set aside; otherwise the table is at fault.

    Args:
        spool: Has the segments.
        destination: Stores them.
        counters: Updated here.
        trouble: Remembers rejected rows from one segment to the next.
    """

    def __init__(
        self, spool: Spool, destination: Destination, counters: Counters, trouble: Trouble
    ) -> None:
        self._spool = spool
        self._destination = destination
        self._counters = counters
        self._trouble = trouble
        # Those of later segments that were tried first. Their outcomes must not be forgotten:
        # without a look-up their rows would be sent again.
        self._begun: dict[tuple[str, int], Delivery] = {}

    def of(self, segment: Segment) -> Delivery:
        """Return the delivery of *segment*; the one that began while another one was held back."""
        begun = self._begun.pop((segment.writer_id, segment.first_seq), None)
        return begun or Delivery(
            segment, self._spool, self._destination, self._counters, self._trouble
        )

    def run(self, delivery: Delivery) -> None:
        """
        Deliver the remaining rows of the segment that was taken last, as `Delivery.run` does.

        Raises:
            TableSuspected: The table rejects all of the rows, and accepts none of later ones.
        """
        while True:
            try:
                delivery.run()
            except TableSuspected:
                if not self._are_later_rows_stored():
                    raise
                delivery.trust_table()
            else:
                return

    def _are_later_rows_stored(self) -> bool:
        # Of many segments with bad rows, each one is decided by the same later one. The newest one
        # is another one at each call, as long as rows come.
        return (
            any(begun.has_stored for begun in self._begun.values())
            or self._is_later_stored(newest=False)
            or self._is_later_stored(newest=True)
        )

    def _is_later_stored(self, *, newest: bool) -> bool:
        # On disk, nothing tells that the later one was tried first: both are ``.sending``.
        with self._spool.taken_later(newest=newest) as later:
            if later is None:
                return False
            delivery = self.of(later)
            self._begun[later.writer_id, later.first_seq] = delivery
            try:
                delivery.run()
            except TableSuspected:
                # Nothing of it is known: it begins again.
                del self._begun[later.writer_id, later.first_seq]
                return False
            except (SegmentGone, SegmentUnreadable):
                # In doubt, the rows are set aside, where they can be replayed; waiting would be for
                # ever.
                return True
            except Exception:
                if not delivery.has_stored:
                    raise
            return True
