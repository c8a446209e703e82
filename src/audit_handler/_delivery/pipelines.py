"""The pipelines of one handler: the open one, and the closed ones whose rows still wait."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from audit_handler._delivery.pipeline import Pipeline
from audit_handler.spool import Spool

__all__ = ["Pipelines"]


@dataclass(frozen=True, slots=True)
class _Closed:
    """The closed pipelines. Replaced as a whole, because readers acquire no lock."""

    pipelines: tuple[Pipeline, ...] = ()
    delivered_rows: int = 0
    """Rows of the closed pipelines that were delivered and then forgotten."""


class Pipelines:
    """
    The open pipeline of a handler and those that were closed before it.

    A closed pipeline stays here until its rows are delivered, by its own listener, by the listener
    of a later pipeline, or by another process. Methods that change something hold `lock`. The
    others acquire no lock, so they never wait for a disk or for ClickHouse.
    """

    def __init__(self) -> None:
        # Reentrant, for a signal handler.
        self.lock = threading.RLock()
        self.open: Pipeline | None = None
        """The pipeline that accepts rows. Logger calls read it without the lock."""
        self._closed = _Closed()

    def add(self, pipeline: Pipeline) -> Pipeline:
        """Open *pipeline*, unless another one is open; return the open one."""
        with self.lock:
            # An audit event of a signal handler, on top of this call, may have opened another one
            # first.
            opened = self.open = self.open or pipeline
            return opened

    def close_open(self) -> Pipeline | None:
        """
        Move the open pipeline, if there is one, to the closed ones. Return it; the caller closes
        it.
        """
        with self.lock:
            pipeline = self.open
            if pipeline is not None:
                self.forget(pipeline)
            return pipeline

    def forget(self, pipeline: Pipeline) -> None:
        """Move *pipeline* to the closed ones, if it is the open one."""
        with self.lock:
            while self.open is pipeline:
                closed = self._closed
                # First added there, then removed here, so that `_all` sees it at every moment.
                others = tuple(other for other in closed.pipelines if other is not pipeline)
                moved = _Closed((*others, pipeline), closed.delivered_rows)
                # Python runs signal handlers at calls, and there is none from here to the end: one
                # that came before may have closed this pipeline, and opened another one.
                if self._closed is closed and self.open is pipeline:
                    self._closed = moved
                    self.open = None

    def left(self) -> list[Pipeline]:
        """Return the closed pipelines with undelivered rows, and forget those without."""
        with self.lock:
            while True:
                closed = self._closed
                # Asked before anything else: a spool that is not closed yet may still accept a row
                # that is on its way, or deliver rows that another one of them left. An interrupted
                # `forget` leaves the open pipeline among the closed ones.
                ended = [p for p in closed.pipelines if p.spool.is_closed and p is not self.open]
                left = [pipeline for pipeline in closed.pipelines if pipeline.spool.has_rows()]
                done = [pipeline for pipeline in ended if pipeline not in left]
                kept = _Closed(
                    tuple(pipeline for pipeline in closed.pipelines if pipeline not in done),
                    closed.delivered_rows + sum(pipeline.spool.last_seq for pipeline in done),
                )
                # As in `forget`.
                if self._closed is closed:
                    self._closed = kept
                    return left

    def rows_emitted(self) -> int:
        """Return how many rows all pipelines accepted, the forgotten ones included."""
        pipelines, delivered_rows = self._all()
        return delivered_rows + sum(pipeline.spool.last_seq for pipeline in pipelines)

    def spools(self) -> list[Spool]:
        """Return the spools that hold the waiting rows, each row in one of them."""
        spools = [pipeline.spool for pipeline in self._all()[0]]
        # The rows that a closed pipeline left count there until another one adopts them. That one
        # may be closed by now too, and its listener may still deliver them.
        adopted = set[str]().union(*(spool.adopted_writers for spool in spools))
        return [spool for spool in spools if spool.writer_id not in adopted]

    def abandon(self) -> None:
        """Release, in a forked child, the spools of the parent. These pipelines end here."""
        for pipeline in self._all()[0]:
            pipeline.abandon()

    def _all(self) -> tuple[list[Pipeline], int]:
        """Return all pipelines that are known, and the rows of the forgotten ones."""
        while True:
            # In this order: `forget` adds a pipeline there before it takes it away here.
            opened = self.open
            closed = self._closed
            # Otherwise the rows of one that was closed and forgotten meanwhile would count twice.
            if opened is self.open:
                break
        known = [] if opened is None else [opened]
        known += [pipeline for pipeline in closed.pipelines if pipeline is not opened]
        return known, closed.delivered_rows
