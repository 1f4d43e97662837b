"""Assessment: the grid of attacks x victims x target draws x seeds, and its results."""
