"""Maintenance of the bucket itself: a task that writes no dataset."""

from lake_assets.catalog import Task

TASKS = (
    Task(
        name="lake.ensure_bucket",
        partition=None,
        description="Create or verify the bucket and its lifecycle rule (exports/ live 7 days).",
    ),
    Task(
        name="lake.repair",
        partition=None,
        description=(
            "Write stored days again whose columns of floats have statistics, which leave NaN out: "
            "the same rows, without these."
        ),
    ),
)
