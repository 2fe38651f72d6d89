"""How derived datasets are computed: scores, forecasters, detectors. No Dagster, no I/O here."""
