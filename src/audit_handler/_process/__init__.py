"""This process: its handlers, signals, forks, and its end."""
