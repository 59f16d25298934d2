"""What goes wrong in dreams of filmed worlds, found without knowing what the world is about."""
