"""What `sharpap data inspect` says about a file."""
