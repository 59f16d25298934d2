"""A dreamed paint program measured against the real one, from pixels alone."""
