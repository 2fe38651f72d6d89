"""When and how datasets are written: the only folder that imports Dagster."""
