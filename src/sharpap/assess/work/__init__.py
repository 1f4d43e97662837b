"""The pieces of work of a grid, and the store of finished ones."""
