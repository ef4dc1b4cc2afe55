"""Batteries: protocols ready to serve. Sans-I/O codecs and sessions, and the handlers that carry their bytes."""
