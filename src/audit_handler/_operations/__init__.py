"""
What operators run: checks, test rows, replays, moves. Nothing here prints; the command line does.
"""
