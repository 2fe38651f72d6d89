"""Discovery: which datasets there are, what is in them, and what their rows look like."""
