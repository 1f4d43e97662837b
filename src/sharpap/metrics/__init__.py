"""Metrics: exposure of target items, utility for genuine users, and their intervals."""
