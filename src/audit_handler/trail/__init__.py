"""Read the trail: search events, show one, answer the questions of reports, find missing rows."""

from audit_handler.trail._completeness import Completeness
from audit_handler.trail._filter import Filter, Period
from audit_handler.trail._search import SUMMARY, Event, Trail

__all__ = ["SUMMARY", "Completeness", "Event", "Filter", "Period", "Trail"]
