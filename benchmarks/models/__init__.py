"""How good forecasts and alarms are: `make bench-models` measures, and writes docs/models.md.

Belongs here: series with known futures, agents with known events, simple rivals, the report.
Does not belong here: the models (`lake_assets.models`). Public series come from packages that ship
them (`requirements-data.txt`); measuring downloads nothing.
"""
