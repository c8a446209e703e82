"""
A log record and the bound context become one clean line of JSON. Pure: no file, no network.
"""
