"""How the lake's data is made. Empty on purpose: `catalog` and `datasets` load without Dagster."""
