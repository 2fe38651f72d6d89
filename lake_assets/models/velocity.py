"""Delivery speed of projects: throughput, lead time and completion of the last seven days.

Belongs here: the days that a week looks at.
Does not belong here: the formulas (`velocity.sql`), their words (`lake_assets.datasets.derived`).
"""

from importlib.resources import files

from lake_assets.models.derivation import Derivation, Window

DERIVATION = Derivation(
    version="1",
    windows={
        # One snapshot holds every item ever completed: the weeks before are in it too.
        "platform/sprint_plans": Window(
            days=1,
            columns=(
                "project_id",
                "status",
                "story_points",
                "sprint_start",
                "sprint_end",
                "completed_at",
                "created_at",
            ),
        ),
        "platform/coding_sessions": Window(
            days=7,
            lag_d=1,
            columns=(
                "session_id",
                "project_id",
                "lines_added",
                "lines_deleted",
                "ended_at",
                "duration_ms",
                "updated_at",
            ),
        ),
        "platform/project_executions": Window(days=7, lag_d=1, columns=("project_id", "status")),
    },
    sql=files("lake_assets.models").joinpath("velocity.sql").read_text(encoding="utf-8"),
)
