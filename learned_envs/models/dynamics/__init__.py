"""Families of dynamics: how the next latent follows from the state and the action."""
