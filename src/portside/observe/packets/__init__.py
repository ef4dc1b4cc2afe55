"""Packets for people: taken apart, filtered, told in a line or drawn header within header."""
