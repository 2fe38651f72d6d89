"""What the demo asks over HTTP.

Belongs here: the questions, and what to know of their rows.
Does not belong here: asking them (`demo`).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What somebody wants to know, and how they ask it; `note` says what to know of the rows."""

    title: str
    sql: str
    note: str = ""


# The first three are the product specification's own examples.
QUESTIONS = (
    Question(
        title="Agent activity",
        sql="SELECT agent_id, status, COUNT(*) as cnt\n"
        "FROM agent_run_log\n"
        "GROUP BY agent_id, status\n"
        "ORDER BY cnt DESC",
    ),
    Question(
        title="LLM token costs by model",
        sql="SELECT model, SUM(total_tokens) as tokens, SUM(cost_usd) as cost\n"
        "FROM platform_llm_token_usage\n"
        "GROUP BY model\n"
        "ORDER BY cost DESC",
    ),
    Question(
        title="SCC labor market",
        sql="SELECT * FROM external_scc_edd_labor LIMIT 50",
        note="These rows are made up: a stand-in on this machine answered in place of data.ca.gov.",
    ),
    Question(
        title="What the busiest agents pay for their tokens",
        sql="WITH runs AS (\n"
        "  SELECT date, agent_id, COUNT(*) AS runs FROM agent_run_log GROUP BY date, agent_id\n"
        "), usage AS (\n"
        "  SELECT date, agent_id, SUM(total_tokens) AS tokens, SUM(cost_usd) AS cost\n"
        "  FROM platform_llm_token_usage GROUP BY date, agent_id\n"
        ")\n"
        "SELECT agent_id, SUM(runs) AS runs, SUM(tokens) AS tokens, SUM(cost) AS cost,\n"
        "       ROUND(SUM(cost) / SUM(runs), 4) AS cost_per_run\n"
        "FROM runs JOIN usage USING (date, agent_id)\n"
        "GROUP BY agent_id ORDER BY SUM(runs) DESC LIMIT 10",
    ),
    Question(
        title="What tokens will cost in the next two weeks",
        sql="SELECT target_date, predicted_cost_usd, lower_cost_usd, upper_cost_usd,\n"
        "       model_name, backtest_windows\n"
        "FROM derived_predictions_token_cost_forecast\n"
        "WHERE series_key = 'total'\n"
        "ORDER BY target_date",
    ),
)
