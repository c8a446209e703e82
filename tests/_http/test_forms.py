"""Forms and queries are read into dicts."""

from __future__ import annotations

from audit_handler._http.forms import pairs


def test_a_query_of_too_many_fields_is_described() -> None:
    assert {} == pairs("")
    assert "<more than 1000 fields, 2200 characters>" == pairs("a&" * 1100)
