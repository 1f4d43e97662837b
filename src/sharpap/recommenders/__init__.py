"""Victims: recommenders trained from scratch on (poisoned) interactions."""
