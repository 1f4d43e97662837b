"""Recommenders of other libraries, processes and machines as victims; only config and the command line import them."""
