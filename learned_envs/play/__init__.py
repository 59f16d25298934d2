"""The window that a person plays in, and the quiz: which is real?

`stage` is what is played, `session` the thread that plays it, `window` what is seen of it. Only the
modules that draw import pygame.
"""
