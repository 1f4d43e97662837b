"""Report: the transfer table on the terminal and one self-contained HTML page."""
