"""
Reading the trail: events by filter, newest first; one event whole; what was done when, and by whom;
what is missing.
"""

from audit_handler.trail._completeness import Completeness
from audit_handler.trail._search import SUMMARY, Event, Filter, Period, Trail

__all__ = ["SUMMARY", "Completeness", "Event", "Filter", "Period", "Trail"]
