"""Real and dreamed batches in the shapes that other libraries ask for; one module a library."""
