"""Worlds to dream: Gymnasium environments whose `step()` is a small world model."""
