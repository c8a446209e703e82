"""Path patterns match whole segments, and a star stands for one of them."""

from __future__ import annotations

import pytest

from audit_handler.policy._paths import compile_paths


@pytest.mark.parametrize(
    ("paths", "path", "expected"),
    [
        (["/api"], "/api", "/api"),
        (["/api"], "/api/orders/17", "/api/"),
        (["/api/"], "/api", "/api"),
        (["/api"], "/apis", None),
        (["/api"], "/v1/api", None),
        (["/api"], "/api\n", None),
        (["/"], "/anything", "/"),
        (["/a.b"], "/axb", None),
        (["/a", "/b/c"], "/b/c/d", "/b/c/"),
        (["/orders/*/approve"], "/orders/17/approve", "/orders/17/approve"),
        (["/orders/*/approve"], "/orders/17/lines/approve", None),
        (["/orders/*"], "/orders", None),
        (["/orders/A-*"], "/orders/A-17/lines", "/orders/A-17/"),
    ],
)
def test_the_matched_beginning_is_whole_segments(
    paths: list[str], path: str, expected: str | None
) -> None:
    found = compile_paths(paths).match(path)

    assert expected == (found[0] if found else None)
