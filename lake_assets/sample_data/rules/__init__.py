"""Rules that fill a column from its name and type alone, so that any new dataset gets rows."""
