"""What stands in the columns of a table, and which of its rows count."""
