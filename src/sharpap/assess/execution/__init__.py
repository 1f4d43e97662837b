"""Who does the pieces of work: this process, several, or a Ray cluster."""
