"""Turns texts into ranked passages. Knows nothing of `bot`."""
