"""What several test modules share: engines, servers, programs, doubles."""
