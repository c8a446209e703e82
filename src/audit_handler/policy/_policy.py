"""`Policy`: an ordered list of rules; the first rule that matches decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from audit_handler.errors import ConfigurationError
from audit_handler.policy._checks import checked_clause
from audit_handler.policy._clause import Clause
from audit_handler.policy._rule import Rule

__all__ = ["Policy"]


class Policy:
    """
    An ordered list of rules. Immutable, so all threads can share one.

    Args:
        rules: Each a `Rule`, or a mapping with the keys of one.

    Raises:
        ConfigurationError: A rule is not valid. The text has its number (from 1), the value and the
            remedy.
    """

    def __init__(self, rules: Iterable[Rule | Mapping[str, Any]]) -> None:
        if isinstance(rules, str | Mapping) or not isinstance(rules, Iterable):
            raise ConfigurationError(
                f"policy is a {type(rules).__name__}; make it a list of rules, in order"
            )
        self._clauses = tuple(checked_clause(number, rule) for number, rule in enumerate(rules, 1))

    def candidates(self, method: str, path: str) -> tuple[Clause, ...]:
        """
        Return the rules that can still match a request of *method* to *path*, in their order.

        The last of them is the first rule that certainly matches, if there is one, because no later
        rule can decide. Empty if no rule can match.
        """
        found: list[Clause] = []
        for clause in self._clauses:
            if clause.may_match(method, path):
                found.append(clause)
                if clause.is_certain:
                    break
        return tuple(found)
