"""Where the rows go: read from the arguments of a handler and from the environment."""
