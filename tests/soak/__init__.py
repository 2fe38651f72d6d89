"""Random writes, purges, renames, kills and runs over a month of days, and what must hold after."""
