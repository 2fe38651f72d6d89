"""The queries that everything is asked.

Belongs here: their text, and how an answer is compared with the floor's.
Does not belong here: asking (`contenders`).

Every text has `{n}` in the name of a column. It is another number in each call, so that no cache
of answers can serve a measurement that does not mean to measure one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from benchmarks.query.lake import NEWEST_DAY

Rows = Sequence[Sequence[Any]]

_DAY = (NEWEST_DAY - timedelta(days=11)).isoformat()
_WEEK = (NEWEST_DAY - timedelta(days=17)).isoformat()
_MONTH = (NEWEST_DAY - timedelta(days=30)).isoformat()
_SUMS = """
    SELECT agent_id, count(*) AS runs, sum(total_tokens) AS tokens, sum(cost_usd) AS cost,
           max(duration_ms) AS longest_{n}
    FROM agent_run_log
"""
_BY_AGENT = "GROUP BY agent_id ORDER BY agent_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query. With `any_rows`, each answer is right whose rows exist, by `any_rows_check`."""

    name: str
    text: str
    any_rows_check: str = ""

    def sql(self, number: int) -> str:
        """The text as the `number`th call sends it."""
        return " ".join(self.text.replace("{n}", str(number)).split())


QUERIES: Sequence[Query] = (
    Query(name="full aggregate", text=f"{_SUMS} {_BY_AGENT}"),
    Query(name="one day", text=f"{_SUMS} WHERE date = DATE '{_DAY}' {_BY_AGENT}"),
    Query(
        name="one week",
        text=f"{_SUMS} WHERE date >= DATE '{_WEEK}' AND date <= DATE '{_DAY}' {_BY_AGENT}",
    ),
    Query(
        name="one month",
        text=f"{_SUMS} WHERE date > DATE '{_MONTH}' AND date <= DATE '{NEWEST_DAY}' {_BY_AGENT}",
    ),
    Query(
        name="top n, join",
        text=f"""
            SELECT r.agent_id, u.model, count(*) AS calls, sum(u.cost_usd) AS cost_{{n}}
            FROM agent_run_log AS r
            JOIN platform_llm_token_usage AS u ON u.request_id = r.run_id
            WHERE r.status = 'failed'
              AND r.date > DATE '{_MONTH}' AND r.date <= DATE '{NEWEST_DAY}'
              AND u.date > DATE '{_MONTH}' AND u.date <= DATE '{NEWEST_DAY}'
            GROUP BY r.agent_id, u.model ORDER BY cost_{{n}} DESC, r.agent_id, u.model LIMIT 10
        """,
    ),
    Query(
        name="LIMIT 50",
        text="""
            SELECT run_id, agent_id, status, model, total_tokens AS tokens_{n}
            FROM agent_run_log LIMIT 50
        """,
        any_rows_check="""
            SELECT run_id, agent_id, status, model, total_tokens
            FROM agent_run_log WHERE run_id IN ({ids})
        """,
    ),
    Query(
        name="string filter",
        text="""
            SELECT run_id, agent_id, error_code, duration_ms AS took_{n} FROM agent_run_log
            WHERE error_code = 'E0042' ORDER BY run_id LIMIT 20
        """,
    ),
    Query(name="count(*)", text="SELECT count(*) AS rows_{n} FROM agent_run_log"),
    Query(
        name="distinct",
        text="SELECT DISTINCT model, status AS status_{n} FROM agent_run_log ORDER BY 1, 2",
    ),
)
BY_NAME: Mapping[str, Query] = {query.name: query for query in QUERIES}

LIGHT = ("one day", "one week", "one month", "LIMIT 50")
"""What an agent asks in passing; the mix of the runs with many clients."""

HEAVY = "full aggregate"


def same_rows(one: Rows, other: Rows) -> bool:
    """Whether two answers are equal, numbers to ten digits."""
    return len(one) == len(other) and all(
        len(left) == len(right) and all(map(_same, left, right))
        for left, right in zip(one, other, strict=True)
    )


def _same(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    try:
        # Sums of decimals come as text, as numbers, or as decimals.
        return math.isclose(float(one), float(other), rel_tol=1e-10)
    except ValueError:
        return str(one) == str(other)
