"""A person at any program: its picture, and what hands do, as episodes."""
