"""Recordings for others: a page that describes them, and formats that other libraries read."""
