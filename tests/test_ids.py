"""Ids are valid UUIDs, sort by time and never repeat."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from audit_handler._ids import EventIds, new_writer_id

NOW = 1_795_430_000.25


def test_an_event_id_is_a_uuid_of_version_7() -> None:
    event_id = uuid.UUID(EventIds().next(NOW))

    assert (7, uuid.RFC_4122) == (event_id.version, event_id.variant)


def test_an_event_id_is_written_as_uuid_writes_itself() -> None:
    text = EventIds().next(NOW)

    assert str(uuid.UUID(text)) == text


@given(st.integers(0, 2**48 - 1))
def test_the_milliseconds_of_an_event_stand_in_its_id(milliseconds: int) -> None:
    # Half a millisecond more, so that no rounding of the float reaches the neighbour.
    event_id = uuid.UUID(EventIds().next((milliseconds + 0.5) / 1000))

    assert abs(milliseconds - (event_id.int >> 80)) <= 1


def test_event_ids_of_one_moment_are_all_different_and_sort_as_they_were_made() -> None:
    ids = EventIds()

    made = [ids.next(NOW) for _ in range(10_000)]

    assert made == sorted(set(made))


def test_two_makers_of_ids_do_not_share_their_random_bits() -> None:
    assert EventIds().next(NOW) != EventIds().next(NOW)


def test_an_id_outlives_the_end_of_its_32_bit_counter() -> None:
    ids = EventIds()
    ids.count = iter([2**32 - 1, 2**32])  # type: ignore[assignment]

    last, first = uuid.UUID(ids.next(NOW)), uuid.UUID(ids.next(NOW))

    assert (2**32 - 1, 7) == (last.int - first.int, first.version)


def test_writer_ids_sort_by_the_time_they_were_made() -> None:
    def made_at(writer_id: str) -> int:
        return uuid.UUID(writer_id).int >> 80

    older, newer = new_writer_id(), new_writer_id()

    assert made_at(older) <= made_at(newer)
