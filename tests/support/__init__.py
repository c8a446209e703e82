"""Helpers that several test modules share: engines, servers, programs, doubles."""
