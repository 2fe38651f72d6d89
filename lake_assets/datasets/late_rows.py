"""The weekly look for rows that came after their day was written: a task that writes no dataset."""

from lake_assets.catalog import Task

TASKS = (
    Task(
        name="lake.late_rows",
        partition=None,
        description="Compare recent days in the platform database with the lake by their counts of rows.",
    ),
)
