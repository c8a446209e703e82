"""Deliver segments in order, and try the one behind a segment that the table rejects as a whole."""

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

    A segment of which the table rejects every row is held back while the one behind it is tried. If
    the table accepts rows of that one, those of the first one are bad, and are set aside.

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
        self._begun: Delivery | None = None

    def of(self, segment: Segment) -> Delivery:
        """Return the delivery of *segment*; the one that began while another one was held back."""
        begun, self._begun = self._begun, None
        if begun is not None and begun.is_of(segment):
            return begun
        return Delivery(segment, self._spool, self._destination, self._counters, self._trouble)

    def run(self, delivery: Delivery) -> None:
        """
        Deliver the remaining rows of the segment that was taken last, as `Delivery.run` does.

        Raises:
            TableSuspected: The table rejects all of the rows, and accepts none behind them.
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
        """
        Try the segment behind the one that the table rejects; return whether the table accepts it.

        On disk, nothing tells that the later one was tried first: both are ``.sending``.
        """
        with self._spool.taken_later() as later:
            if later is None:
                return False
            # Its outcome must not be forgotten: without a look-up it would be sent again.
            delivery = self._begun = self.of(later)
            try:
                delivery.run()
            except TableSuspected:
                return False
            except (SegmentGone, SegmentUnreadable):
                # In doubt, the rows are set aside, where they can be replayed; waiting would be for
                # ever.
                return True
            except Exception:
                if not delivery.has_stored:
                    raise
            return True
