"""How far a dream can be trusted, measured without knowing what the world is about."""
