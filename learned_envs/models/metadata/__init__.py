"""A game's own variables: what kinds there are, and networks that predict them."""
