"""This process: its handlers, its signals, its forks and its end."""
