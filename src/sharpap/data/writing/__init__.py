"""`Interactions` out, to files that other libraries read."""
