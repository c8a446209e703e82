"""Headers by name."""

from __future__ import annotations

from audit_handler._http.headers import by_name


def test_a_name_is_found_in_small_letters() -> None:
    assert {"x-shop": "Acme"} == by_name([("X-Shop", "Acme")])


def test_the_values_of_a_header_that_comes_several_times_are_joined() -> None:
    """Cookies by semicolons: RFC 9113 lets a client send each in a header of its own."""
    sent = [("Via", "a"), ("Cookie", "x=1"), ("via", "b"), ("cookie", "y=2"), ("VIA", "c")]

    assert {"via": "a, b, c", "cookie": "x=1; y=2"} == by_name(sent)
