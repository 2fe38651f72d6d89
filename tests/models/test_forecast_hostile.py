"""Series that no model was made for: none ends a run, none has a bound that is no bound."""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lake_assets.models import month_end, request_volume, token_cost
from lake_assets.models.forecast_backtest import Rules
from lake_assets.models.forecasting import Forecast, forecast_all

DAY = date(2026, 11, 22)
CALLS = "platform/llm_token_usage"
Row = Mapping[str, Any]
ORDINARY = np.random.default_rng(3).poisson(np.resize([60, 62, 61, 60, 55, 30, 25], 126)) * 1.0


def calls(agents: Mapping[str, Sequence[float]]) -> pa.Table:
    """One call per agent and day, in a lake whose newest day is `DAY`; NaN is no call."""
    rows = [
        {
            "date": DAY - timedelta(days=len(costs) - 1 - place),
            "provider": "p",
            "model": "m",
            "agent_id": agent,
            "total_tokens": 100,
            "cost_usd": float(cost),
        }
        for agent, costs in agents.items()
        for place, cost in enumerate(costs)
        if not math.isnan(cost)
    ]
    return pa.Table.from_pylist(rows, SCHEMA)


SCHEMA = pa.schema(
    [
        ("date", pa.date32()),
        ("provider", pa.string()),
        ("model", pa.string()),
        ("agent_id", pa.string()),
        ("total_tokens", pa.int64()),
        ("cost_usd", pa.float64()),
    ]
)


def forecast(agents: Mapping[str, Sequence[float]]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in token_cost.derive({CALLS: calls(agents)}, day=DAY):
        found.setdefault(str(row["series_key"]), []).append(row)
    return found


def hold(rows: Sequence[Row], seen: Sequence[float]) -> None:
    """Finite, ordered, and none beyond ten times what was seen."""
    finite = [abs(each) for each in seen if math.isfinite(each)]
    most = 10 * max(finite, default=0.0) + 1e-5
    for row in rows:
        ends = [
            float(row[column])
            for column in (
                "lower_cost_95_usd",
                "lower_cost_usd",
                "predicted_cost_usd",
                "upper_cost_usd",
                "upper_cost_95_usd",
            )
        ]
        assert all(math.isfinite(each) for each in ends)
        assert ends == sorted(ends)
        assert max(abs(each) for each in ends) <= most
        if min(finite, default=0) >= 0 and min(seen, default=0) >= 0:
            assert ends[0] >= 0


def odd() -> Iterator[tuple[str, list[float]]]:
    yield "a credit", [3.0] * 60 + [-500.0] + [3.0] * 30
    yield "credits only", [-2.0] * 60
    yield "around zero", list(np.random.default_rng(1).normal(0, 5, 126).round(2))
    yield "minus one", [0.0] * 59 + [-1.0]
    yield "huge", [3.0] * 60 + [1e13]
    yield "always huge", [1e13] * 60
    yield "endless", [3.0] * 60 + [math.inf, 3.0]
    yield "endless below", [3.0] * 60 + [-math.inf, 3.0]
    yield "unknown", [3.0] * 30 + [math.nan] * 30 + [2.0]
    yield "zeros", [0.0] * 60
    yield "one day", [4.0]
    yield "one late day", [0.0] * 59 + [4.0]
    yield "alternating", [0.0, 100.0] * 60
    yield "constant", [2.5] * 126
    yield "tiny", [1e-6] * 126
    yield "spike at the end", [5.0] * 59 + [100_000.0]
    yield "new level", [2.4] * 119 + [3.6] * 7
    yield "doubling", [2.0**day for day in range(20)]


@pytest.fixture(scope="module")
def found() -> dict[str, list[Row]]:
    return forecast({**dict(odd()), "ordinary": list(ORDINARY)})


@pytest.mark.parametrize(("name", "costs"), list(odd()), ids=[name for name, _ in odd()])
def test_bounds_of_any_series_are_bounds(
    found: dict[str, list[Row]], name: str, costs: list[float]
):
    if any(costs[-28:]):
        limited = [min(max(each, -1e9), 1e9) for each in costs if math.isfinite(each)]
        hold(found[f"agent={name}"], limited)


def test_no_series_takes_the_others_down(found: dict[str, list[Row]]):
    assert all(15 < float(row["predicted_cost_usd"]) < 75 for row in found["agent=ordinary"])
    for horizon in range(14):
        total = found["total"][horizon]["predicted_cost_usd"]
        parts = [rows[horizon] for key, rows in found.items() if key.startswith("agent=")]
        assert sum(part["predicted_cost_usd"] for part in parts) == total


def test_a_series_says_what_was_wrong_with_it():
    found = forecast({"odd": [3.0] * 60 + [1e13, math.inf, 3.0], "ordinary": list(ORDINARY)})
    (said, status) = (found["agent=odd"][0][column] for column in ("explanation", "status"))
    assert status == "damaged"
    assert said.startswith(
        "Days without a finite sum are gaps (1), days beyond 1,000,000,000 count as that (1). "
    )
    assert found["agent=ordinary"][0]["status"] == "ok"


def test_negative_days_are_forecast_as_they_are():
    rng = np.random.default_rng(2)
    week = np.array([-8.0, -8.0, 5.0, 5.0, 5.0, 0.0, 0.0])
    made = forecast_all({"a": np.resize(week, 126) + rng.normal(0, 0.3, 126)}, Rules())["a"]
    assert made.point == pytest.approx(np.resize(week, 14), abs=1.0)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.one_of(
            st.floats(-1e4, 1e4),
            st.sampled_from([0.0, 1.0, -1.0, 1e13, -1e13, math.inf, -math.inf, math.nan, 1e-9]),
        ),
        min_size=1,
        max_size=60,
    )
)
def test_whatever_days_come_to_bounds_are_bounds(costs: list[float]):
    limited = [min(max(each, -1e9), 1e9) for each in costs if math.isfinite(each)]
    for key, rows in forecast({"odd": costs}).items():
        if key == "agent=odd":
            hold(rows, limited)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=0, max_size=50),
    st.booleans(),
)
def test_any_floats_are_forecast_by_finite_numbers(values: list[float], is_summed: bool):
    made = forecast_all({"a": np.array(values)}, Rules(is_summed=is_summed))["a"]
    assert np.isfinite(made.point).all()
    for low, high in made.bounds.values():
        assert np.isfinite(low).all()
        assert np.isfinite(high).all()
        assert (low <= made.point).all()
        assert (made.point <= high).all()


def test_models_that_raise_leave_a_forecast_that_says_so(monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr("lake_assets.models.forecasting.backtest", broken)
    made = forecast_all({"a": ORDINARY}, Rules())["a"]
    assert made.backtest.fallback_reason == "the models failed with RuntimeError"
    assert 25 < made.point.mean() < 75


def upper(made: Forecast) -> float:
    return float(made.bounds[0.95][1].max())


@pytest.mark.parametrize(
    "beside",
    [
        np.array([24.0] * 119 + [48.0] * 7),
        np.array([5.0] * 125 + [100_000.0]),
        np.array([2.4] * 119 + [3.6] * 7),
    ],
    ids=["new level", "spike", "costs"],
)
def test_an_exceptional_series_changes_no_interval_of_another(beside: Any):
    alone = forecast_all({"a": ORDINARY}, Rules())["a"]
    among = forecast_all({"b": beside, "a": ORDINARY, "total": ORDINARY, "c": ORDINARY}, Rules())
    assert upper(among["a"]) == upper(alone) < 130
    assert upper(among["b"]) <= 10 * beside.max()


def test_intervals_of_sparse_series_hold_days_of_nothing():
    rng = np.random.default_rng(11)
    agents = {
        f"a{n}": list(rng.poisson(2 * ORDINARY / 60) * (rng.random(126) < 0.3) * 1.0)
        for n in range(6)
    }
    for key, rows in forecast(agents).items():
        if key.startswith("agent="):
            assert all(row["lower_cost_usd"] == 0 for row in rows)


def test_a_month_of_hostile_days_is_projected():
    agents = {name: costs for name, costs in odd() if name != "doubling"}
    rows = list(month_end.derive({CALLS: calls(agents)}, day=DAY))
    assert {"total", "agent=a credit", "agent=huge"} <= {row["series_key"] for row in rows}
    for row in rows:
        assert row["projected_10_usd"] <= row["projected_50_usd"] <= row["projected_90_usd"]


def test_counts_are_never_below_zero():
    days = [DAY - timedelta(days=ago) for ago in (0, 1, 5, 40, 80) for _ in range(3)]
    table = pa.table(
        {
            "date": pa.array(days, pa.date32()),
            "service": pa.array([None] * 15, pa.string()),
            "agent_id": pa.array(["a"] * 15, pa.string()),
        }
    )
    rows = list(request_volume.derive({"mcp_request_logs": table}, day=DAY))
    assert min(row["lower_bound_95"] for row in rows) >= 0
