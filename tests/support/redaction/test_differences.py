"""The list of the values that redaction took out of an event."""

from __future__ import annotations

from audit_handler._record.redaction import REDACTED
from tests.support.redaction.differences import Taken, taken


def test_a_value_under_a_name_is_listed_with_its_path() -> None:
    event = {"users": [{"name": "ann", "pin": 1234}]}
    stored = {"users": [{"name": "ann", "pin": REDACTED}]}

    assert [Taken(("users", "[]", "pin"), "", 1234)] == list(taken(event, stored))


def test_parts_of_a_text_are_listed_with_the_text_before_them() -> None:
    event = "user=ann password=s1 token=s2 host=h"
    stored = f"user=ann password={REDACTED} token={REDACTED} host=h"

    assert [
        Taken((), "user=ann password=", "s1"),
        Taken((), "user=ann password=s1 token=", "s2"),
    ] == list(taken(event, stored))


def test_a_value_at_the_end_of_a_text_is_listed_whole() -> None:
    assert [Taken((), "password: ", "correct horse")] == list(
        taken("password: correct horse", f"password: {REDACTED}")
    )


def test_json_in_a_text_is_compared_by_its_names_and_not_by_its_spaces() -> None:
    event = {"body": '{"pin": "1234",  "n": 1}'}
    stored = {"body": f'{{"pin":"{REDACTED}","n":1}}'}

    assert [Taken(("body", "~", "pin"), "", "1234")] == list(taken(event, stored))


def test_a_redacted_name_is_listed() -> None:
    assert [Taken(("{}",), "Bearer ", "abc")] == list(
        taken({"Bearer abc": 1}, {f"Bearer {REDACTED}": 1})
    )


def test_a_value_that_was_only_cut_is_not_listed() -> None:
    assert [] == list(taken({"note": "a" * 100, "n": [1, 2]}, {"note": "aaa", "n": [1]}))


def test_a_text_that_changed_around_the_mark_is_listed_as_unclear() -> None:
    assert [Taken((), "?", "a=1 b=2")] == list(taken("a=1 b=2", f"c={REDACTED}"))
