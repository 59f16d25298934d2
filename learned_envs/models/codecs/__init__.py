"""Codecs: from frames to latents and back."""
