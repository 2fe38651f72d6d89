"""Scores of agents per day: how well, how dependably, how cheaply and how much they work.

Belongs here: the days that a score looks back on.
Does not belong here: the formulas (`scores.sql`), their words (`lake_assets.datasets.derived`).
"""

from importlib.resources import files

from lake_assets.models.derivation import Derivation, Window

FLEET_D = 28
"""Days that say what is usual among all agents."""

DERIVATION = Derivation(
    version="1",
    windows={
        "agent_run_log": Window(days=FLEET_D, columns=("agent_id", "status")),
        "platform/llm_token_usage": Window(
            days=FLEET_D, columns=("agent_id", "total_tokens", "cost_usd")
        ),
        "rlhf_signals": Window(days=7, columns=("agent_id", "signal_type", "rating")),
        "platform/agent_quality_trends": Window(
            days=14, columns=("id", "agent_id", "trend_date", "quality_score", "created_at")
        ),
    },
    sql=files("lake_assets.models").joinpath("scores.sql").read_text(encoding="utf-8"),
)
