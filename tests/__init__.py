"""The tests. A package, so that they import their helpers as `tests.<helper>`."""
