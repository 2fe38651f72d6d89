"""Triggering tasks, and telling how they went, through Dagster."""
