"""Surrogates: models an attacker trains and differentiates, as pure functions of parameters and data."""
