"""The failure table of the design, attacked: each fault staged, proved, recovered from."""
