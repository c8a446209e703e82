"""The decisions of a policy, for tests."""

from __future__ import annotations

from typing import Any

from audit_handler.policy import Policy


def decided(
    policy: list[Any],
    method: str = "POST",
    path: str = "/api/orders/17",
    *,
    route: str = "",
    status: int = 200,
    user: str = "",
) -> str:
    """Return the level of the rule that decides, as a middleware finds it."""
    candidates = Policy(policy).candidates(method, path)
    found = [rule for rule in candidates if rule.matches(route, status, user)]
    return found[0].level if found else "none"
