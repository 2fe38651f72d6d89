"""The daily look at what Dagster need not keep: a task that writes no dataset."""

from lake_assets.catalog import Task

TASKS = (
    Task(
        name="lake.prune_history",
        partition=None,
        description="Forget old events and logs of Dagster; LAKE_HISTORY_DAYS says how old.",
    ),
)
