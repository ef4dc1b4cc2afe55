"""Listeners to events: what the server tells about itself. Nothing here is on the way of a byte."""
