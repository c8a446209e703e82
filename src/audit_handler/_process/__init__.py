"""
This process: its handlers, its signals, its end.
"""
