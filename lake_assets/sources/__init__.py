"""How rows are obtained, one module per upstream. No Dagster here."""
