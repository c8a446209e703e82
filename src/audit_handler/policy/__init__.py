"""
Policies decide which requests are audited, and how much of each is stored. A policy is an ordered
list of rules; the first rule that matches decides.

    policy = [
        Rule(level="none", paths=["/api/health"]),
        Rule(level="metadata", paths=["/api/login"], action="LOGIN", durable=True),
        Rule(level="request", methods=["POST", "PUT"], paths=["/api/people"], mask=["birthday"]),
        Rule(level="metadata", statuses=["4xx", "5xx"]),
    ]

A request that no rule matches is not audited. A rule may also be a mapping with the same keys, for
example from JSON or YAML. This package knows no web framework and logs nothing.
"""

from audit_handler.policy._clause import WEBSOCKET, Clause
from audit_handler.policy._policy import Policy
from audit_handler.policy._route_template import route_template
from audit_handler.policy._rule import Rule

__all__ = ["WEBSOCKET", "Clause", "Policy", "Rule", "route_template"]
