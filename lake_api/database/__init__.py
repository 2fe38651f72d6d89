"""The service's own small SQL database: tokens, jobs, exports, audit.

Belongs here: opening it, bringing its tables up to date, the base of all tables.
Does not belong here: any table (each domain's `table.py`); data of the lake.
"""
