"""
Operations that operators run: checks, test rows, replays, moves. They print nothing; the command
line does.
"""
