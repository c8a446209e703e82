"""Turn a log record and the bound context into one clean line of JSON; no I/O."""
