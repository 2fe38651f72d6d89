import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from lake_assets.catalog import load_catalog
from tests.datasets.test_other_declarations import evaluate, formulas

SCORES = "derived/intelligence_scores"
DAY = date(2026, 11, 21)


def ago(days: int) -> date:
    return DAY - timedelta(days=days)


def runs(agent: str, day: date, **by_status: int) -> list[dict]:
    return [
        {"agent_id": agent, "status": status, "date": day}
        for status, count in by_status.items()
        for _ in range(count)
    ]


def call(agent: str | None, day: date, cost: str, tokens: int = 100) -> dict:
    return {"agent_id": agent, "total_tokens": tokens, "cost_usd": Decimal(cost), "date": day}


def signal(agent: str | None, kind: str, rating: float | None) -> dict:
    return {"agent_id": agent, "signal_type": kind, "rating": rating, "date": ago(2)}


def trend(agent: str, day: date, score: float, mark: str = "a") -> dict:
    moment = datetime.combine(day, datetime.min.time(), tzinfo=UTC)
    return {
        "id": mark,
        "agent_id": agent,
        "trend_date": day,
        "quality_score": score,
        "created_at": moment,
        "date": min(day + timedelta(days=1), DAY),
    }


def test_a_row_worked_by_hand(derived):
    # ada: 18 of 20 runs succeed for 3.60; bob: 6 of 8 for 2.40, the day before 4 of 4 for 0.40.
    found = derived(
        SCORES,
        DAY,
        {
            "agent_run_log": [
                *runs("ada", DAY, succeeded=18, failed=1, timed_out=1, cancelled=2, running=1),
                *runs("bob", DAY, succeeded=6, failed=2),
                *runs("bob", ago(1), succeeded=4),
            ],
            "platform/llm_token_usage": [
                call("ada", DAY, "3.00"),
                call("ada", DAY, "0.60", tokens=50),
                call("bob", DAY, "2.40"),
                call("bob", ago(1), "0.40"),
                call(None, DAY, "99"),
            ],
            "rlhf_signals": [
                signal("ada", "rating", 5),
                signal("ada", "rating", 4),
                signal("ada", "thumbs", 1),
                signal("ada", "thumbs", -1),
                signal("ada", "comment", None),
                signal(None, "rating", 1),
            ],
            "platform/agent_quality_trends": [
                trend("ada", ago(3), 0.2),
                trend("ada", ago(1), 0.8),
                trend("ada", DAY + timedelta(days=1), 0.1),
            ],
        },
    )

    ada = found["ada"]
    assert (ada["runs"], ada["runs_succeeded"], ada["runs_failed"]) == (23, 18, 2)
    fleet = 28 / 32
    assert ada["fleet_success_rate"] == pytest.approx(fleet)
    assert ada["reliability_score"] == pytest.approx(100 * (18 + 5 * fleet) / 25)
    assert (ada["ratings"], ada["rating_mean"]) == (4, pytest.approx((1 + 0.75 + 1 + 0) / 4))
    assert (ada["quality_trend"], ada["quality_trend_date"]) == (0.8, ago(1))
    assert ada["quality_score"] == pytest.approx(100 * (4 * 0.6875 + 10 * 0.8) / 14)
    assert (ada["llm_calls"], ada["total_tokens"]) == (2, 150)
    assert ada["cost_usd"] == Decimal("3.6")
    assert ada["run_cost_usd"] == pytest.approx(0.2)
    assert ada["fleet_run_cost_usd"] == pytest.approx(0.2)  # of 0.1, 0.2 and 0.4
    assert ada["cost_efficiency_score"] == pytest.approx(50)
    p95 = 8 + 0.9 * (23 - 8)  # of 4, 8 and 23
    assert ada["fleet_runs_p95"] == pytest.approx(p95)
    assert ada["activity_score"] == pytest.approx(100 * min(1, math.log(24) / math.log(1 + p95)))
    assert (ada["rank"], found["bob"]["rank"]) == (1, 2)
    bob = found["bob"]
    assert (bob["ratings"], bob["quality_score"], bob["quality_weight"]) == (0, None, 0)
    assert bob["reliability_weight"] == pytest.approx(0.35 / 0.65)
    assert (ada["score_date"], ada["score_version"]) == (DAY, "1")


def test_every_documented_formula_holds_in_every_row(derived):
    found = derived(
        SCORES,
        DAY,
        {
            "agent_run_log": [
                row
                for number in range(1, 9)
                for back in range(5)
                for row in runs(f"a{number}", ago(back), succeeded=number, failed=back)
            ],
            "platform/llm_token_usage": [
                call(f"a{number}", ago(back), f"{number * (back + 1)}.37")
                for number in range(1, 9)
                for back in range(5)
            ],
            "rlhf_signals": [signal(f"a{number}", "rating", 1 + number % 5) for number in range(9)],
            "platform/agent_quality_trends": [
                trend(f"a{number}", ago(1), number / 10) for number in range(9)
            ],
        },
    )

    documented = formulas(load_catalog()[SCORES].notes)
    assert set(found) == {f"a{number}" for number in range(1, 9)}
    for row in found.values():
        numbers = {
            name: float(value)
            for name, value in row.items()
            if isinstance(value, int | float | Decimal)
        }
        for score, expression in documented.items():
            assert row[score] == pytest.approx(evaluate(expression, numbers)), score
        parts = ("quality", "reliability", "cost_efficiency", "activity")
        assert sum(row[f"{part}_weight"] for part in parts) == pytest.approx(1)
        total = sum(row[f"{part}_weight"] * row[f"{part}_score"] for part in parts)
        assert row["intelligence_score"] == pytest.approx(total)


def test_what_can_not_be_judged_is_null_and_weighs_nothing(derived):
    found = derived(
        SCORES,
        DAY,
        {
            "agent_run_log": [
                *runs("waits", DAY, running=1),
                *runs("fails", DAY, failed=3),
                *runs("free", DAY, succeeded=2),
                *runs("gone", ago(1), succeeded=9),
            ],
            "platform/llm_token_usage": [call("fails", DAY, "1"), call("calls", DAY, "2")],
        },
    )

    assert set(found) == {"waits", "fails", "free", "calls"}
    waits, fails, free, calls = (found[name] for name in ("waits", "fails", "free", "calls"))
    assert waits["reliability_score"] is None
    assert waits["intelligence_score"] == waits["activity_score"]
    assert (fails["run_cost_usd"], fails["cost_efficiency_score"]) == (None, 0)
    assert (free["run_cost_usd"], free["cost_efficiency_score"]) == (0, None)
    assert (calls["runs"], calls["activity_score"], calls["cost_efficiency_score"]) == (0, 0, 0)
    assert calls["cost_efficiency_weight"] == pytest.approx(0.5)


def test_without_runs_anywhere_there_is_no_activity_to_compare(derived):
    found = derived(SCORES, DAY, {"platform/llm_token_usage": [call("calls", DAY, "0")]})

    assert found["calls"]["activity_score"] is None
    assert found["calls"]["intelligence_score"] is None
    assert found["calls"]["rank"] is None


def test_a_day_without_work_has_no_rows(derived):
    assert derived(SCORES, DAY, {"agent_run_log": runs("ada", ago(1), succeeded=1)}) == {}
    assert derived(SCORES, DAY, {}) == {}
