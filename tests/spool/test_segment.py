"""The name of a segment gives its first row and its state."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_handler.spool import Segment
from audit_handler.spool._segment import (
    OPEN,
    READY,
    SENDING,
    UNREADABLE,
    is_segment_name,
    segment_name,
)


def test_names_of_segments_sort_like_their_first_rows() -> None:
    names = [segment_name(first_seq, READY) for first_seq in (1, 9, 10, 10**18)]

    assert sorted(names) == names
    assert "00000000000000000009.ready" == names[1]


@pytest.mark.parametrize(
    ("suffix", "is_delivered"), [(OPEN, True), (READY, True), (SENDING, True), (UNREADABLE, False)]
)
def test_a_quarantined_segment_is_not_delivered(suffix: str, is_delivered: bool) -> None:
    assert is_delivered == is_segment_name(segment_name(7, suffix))


@pytest.mark.parametrize("name", ["7.ready", segment_name(7, ".ready.tmp"), "lock", "part.ndjson"])
def test_another_file_is_no_segment(name: str) -> None:
    assert not is_segment_name(name)


@pytest.mark.parametrize(("suffix", "was_attempted"), [(READY, False), (SENDING, True)])
def test_a_segment_knows_its_last_row_and_whether_it_was_attempted(
    suffix: str, was_attempted: bool
) -> None:
    segment = Segment(
        writer_id="w", first_seq=7, rows=3, size=30, path=Path(f"7{suffix}"), since=0.0
    )

    assert (9, was_attempted) == (segment.last_seq, segment.was_attempted)
