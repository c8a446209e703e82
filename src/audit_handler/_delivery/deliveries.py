"""Deliver segment after segment; decide whether the rows or the table is at fault."""

from __future__ import annotations

from audit_handler._delivery.attempt import Delivery
from audit_handler._delivery.rejection import TableSuspected
from audit_handler._delivery.trouble import Trouble
from audit_handler.clickhouse import Destination
from audit_handler.spool import Segment, SegmentGone, SegmentUnreadable, Spool
from audit_handler.status import Counters

__all__ = ["Deliveries"]


class Deliveries:
    """The deliveries of one listener. Belongs to the listener's thread."""

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
        Run *delivery*. If the table rejects all of its rows, the segment behind it decides: rows of
        that one are stored, so these are set aside; or the table is at fault.

        Raises:
            TableSuspected: The table rejects the later rows too, or there are none.
            Exception: What `Delivery.run` raises.
        """
        try:
            delivery.run()
        except TableSuspected:
            if not self._are_later_rows_stored():
                raise
            delivery.trust_table()
            delivery.run()

    def _are_later_rows_stored(self) -> bool:
        # On disk, nothing tells that the later one was tried first: both are ``.sending``.
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
