"""Days that are not like others: stored without rows, missing, off, or too long ago."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lake_assets.catalog.settings import SettingsError, check_lake_settings, read_lake_setting
from lake_assets.models import forecast_accuracy, month_end, request_volume, token_cost
from lake_assets.models.derivation import StoredInputs
from lake_assets.models.forecast_backtest import Rules
from lake_assets.models.forecast_calendar import days_off
from lake_assets.models.forecast_paths import paths, shared, sums
from lake_assets.models.forecasting import forecast_all

SUNDAY = date(2026, 11, 22)
REQUESTS, CALLS = "mcp_request_logs", "platform/llm_token_usage"
WEEK = np.array([100.0, 104.0, 103.0, 100.0, 92.0, 40.0, 30.0])
Row = Mapping[str, Any]


def week_of(first: date, days: int) -> np.ndarray[Any, Any]:
    return np.array([WEEK[(first + timedelta(days=n)).weekday()] for n in range(days)])


def requests(agents: Mapping[str, Sequence[float]], last: date) -> pa.Table:
    """Whole requests of agents by day; the last value is that of the last day."""
    days: list[date] = []
    names: list[str] = []
    for agent, counts in agents.items():
        for place, count in enumerate(counts):
            days += [last - timedelta(days=len(counts) - 1 - place)] * int(count)
            names += [agent] * int(count)
    return pa.table(
        {
            "date": pa.array(days, pa.date32()),
            "service": pa.array(["s"] * len(days), pa.string()),
            "agent_id": pa.array(names, pa.string()),
        }
    )


def volume(
    table: pa.Table, day: date, *, stored: Iterable[date] | None = None, **settings: object
) -> dict[str, list[Row]]:
    inputs: Any = {REQUESTS: table}
    if stored is not None or settings:
        days = table["date"].to_pylist() if stored is None else stored
        inputs = StoredInputs(tables=inputs, days={REQUESTS: frozenset(days)}, settings=settings)
    found: dict[str, list[Row]] = {}
    for row in request_volume.derive(inputs, day=day):
        found.setdefault(str(row["series_key"]), []).append(row)
    return found


def predicted(rows: Sequence[Row]) -> dict[date, float]:
    return {row["target_date"]: row["predicted_requests"] for row in rows}


def test_a_stored_day_without_rows_is_zero_and_a_missing_one_a_gap():
    counts = [
        40.0 if (SUNDAY - timedelta(days=ago)).weekday() < 5 else 0.0 for ago in range(69, -1, -1)
    ]
    table = requests({"a": counts}, SUNDAY)
    every = [SUNDAY - timedelta(days=ago) for ago in range(70)]
    zeros = predicted(volume(table, SUNDAY, stored=every)["total"])
    gaps = predicted(
        volume(table, SUNDAY, stored=[day for day in every if day.weekday() < 5])["total"]
    )
    assert sum(zeros.values()) == pytest.approx(400, rel=0.02)
    assert all(zeros[day] == pytest.approx(0, abs=0.5) for day in zeros if day.weekday() >= 5)
    assert all(gaps[day] == pytest.approx(40, rel=0.05) for day in gaps)


def test_old_input_is_called_stale_and_its_intervals_are_wider():
    rng = np.random.default_rng(1)
    first = SUNDAY - timedelta(days=85)
    counts = rng.poisson(week_of(first, 86)).astype(float)
    table = requests({"a": counts}, SUNDAY)
    fresh = volume(table, SUNDAY)["total"]
    later = SUNDAY + timedelta(days=40)
    found = volume(table, later)
    assert {"total", "agent=a", "service=s"} == found.keys()
    old = found["total"]
    assert {(row["status"], row["stale_days"]) for row in fresh} == {("ok", 0)}
    assert {(row["status"], row["stale_days"]) for row in old} == {("stale", 40)}
    assert "The newest input is 40 days old" in old[0]["explanation"]
    assert old[0]["training_end"] == SUNDAY

    def width(rows: Sequence[Row]) -> float:
        return float(np.mean([row["upper_bound"] - row["lower_bound"] for row in rows]))

    assert width(old) > 1.5 * width(fresh)
    ordinary = [row for row in old if row["target_date"] > date(2027, 1, 1)]
    for row in ordinary:
        assert row["predicted_requests"] == pytest.approx(
            WEEK[row["target_date"].weekday()], rel=0.25
        )


@pytest.mark.parametrize("day", [date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 5)])
def test_the_turn_of_the_year_is_no_new_level(day: date):
    first = day - timedelta(days=125)
    rng = np.random.default_rng(2)
    values = rng.poisson(week_of(first, 126)).astype(float)
    for place in range(126):
        if date(2025, 12, 24) <= first + timedelta(days=place) <= date(2026, 1, 1):
            values[place] = rng.poisson(8)
    ahead = predicted(volume(requests({"a": values}, day), day)["total"])
    for target, count in ahead.items():
        assert count == pytest.approx(WEEK[target.weekday()], rel=0.2), target


def test_within_the_turn_of_the_year_its_days_are_forecast_as_they_were():
    day = date(2025, 12, 28)
    first = day - timedelta(days=125)
    values = week_of(first, 126)
    values[-5:] = 8.0
    ahead = predicted(volume(requests({"a": values}, day), day)["total"])
    assert all(ahead[date(2025, 12, each)] < 35 for each in (29, 30, 31))
    assert ahead[date(2026, 1, 5)] == pytest.approx(100, rel=0.1)


def test_public_holidays_are_known_by_setting():
    """Germany's 3 October and 1 November 2025 tell what the 25 December will be like."""
    day = date(2025, 12, 14)
    first = day - timedelta(days=125)
    values = week_of(first, 126)
    values[(date(2025, 10, 3) - first).days] = 5.0
    table = requests({"a": values}, day)
    known = predicted(volume(table, day, LAKE_HOLIDAYS=("DE",))["total"])
    unknown = predicted(volume(table, day)["total"])
    assert known[date(2025, 12, 25)] < 50
    assert unknown[date(2025, 12, 25)] == pytest.approx(100, rel=0.1)
    assert known[date(2025, 12, 18)] == pytest.approx(100, rel=0.1)


def test_days_off_are_those_of_countries_and_their_parts():
    off = days_off(date(2026, 1, 1), 10, ("DE-BY",)).flags
    assert off[5]
    assert not days_off(date(2026, 1, 1), 10, ("DE",)).flags[5]
    assert days_off(date(2026, 12, 23), 11, ()).flags.tolist() == [False, *[True] * 9, False]


@pytest.mark.parametrize("text", ["Germany", "D", "DE BY"])
def test_a_country_that_there_is_not_is_refused(text: str):
    with pytest.raises(SettingsError, match="LAKE_HOLIDAYS: must be codes of countries"):
        read_lake_setting("LAKE_HOLIDAYS", {"LAKE_HOLIDAYS": text})


@pytest.mark.parametrize("place", ["XX", "DE-QQ"])
def test_a_country_without_known_holidays_is_refused(place: str):
    table = requests({"a": [4.0] * 10}, SUNDAY)
    with pytest.raises(
        SettingsError, match=f"LAKE_HOLIDAYS: no public holidays are known of {place}"
    ):
        volume(table, SUNDAY, LAKE_HOLIDAYS=(place,))
    with pytest.raises(SettingsError, match=f"LAKE_HOLIDAYS: no .* known of {place}"):
        check_lake_settings({"LAKE_HOLIDAYS": f"US,{place}"})


@pytest.mark.parametrize("text", ["abc", "$100", "0", "-1", "1_000", "inf", "nan", "1e30"])
def test_a_budget_that_is_no_amount_is_refused_at_the_start(text: str):
    with pytest.raises(SettingsError, match="LAKE_MONTHLY_BUDGET_USD: must be (a number|at most)"):
        check_lake_settings({"LAKE_MONTHLY_BUDGET_USD": text})


@pytest.mark.parametrize("text", ["--1", "-", "1_0", "1.5", "9" * 5000])
def test_days_that_are_no_whole_number_are_refused_in_the_words_of_the_setting(text: str):
    for name in ("LAKE_LATE_ROWS_DAYS", "LAKE_CATCH_UP_DAYS"):
        with pytest.raises(SettingsError, match=f"{name}: must be a whole number of days"):
            check_lake_settings({name: text})


def test_a_new_agent_that_doubles_is_not_reconciled_away():
    steady = week_of(SUNDAY - timedelta(days=83), 84) * 10
    ramp = [2.0**n for n in range(1, 8)]
    found = volume(requests({"steady": steady, "ramp": ramp}, SUNDAY), SUNDAY)
    for row in found["agent=ramp"]:
        assert row["unreconciled_requests"] > 50
        assert row["predicted_requests"] > 0.6 * row["unreconciled_requests"]
    for horizon in range(14):
        parts = [
            found[key][horizon]["predicted_requests"] for key in ("agent=steady", "agent=ramp")
        ]
        assert sum(parts) == found["total"][horizon]["predicted_requests"]


@pytest.mark.parametrize("share", [0.15, 0.3, 0.5])
def test_money_is_forecast_as_a_mean(share: float):
    rng = np.random.default_rng(6)
    made: list[float] = []
    came: list[float] = []
    for _ in range(25):
        values = rng.lognormal(1.0, 0.8, 140) * (rng.random(140) < share)
        made.append(forecast_all({"a": values[:126]}, Rules(is_summed=True))["a"].point.sum())
        came.append(values[126:].sum())
    assert np.sum(made) == pytest.approx(np.sum(came), rel=0.25)


def costs(values: Sequence[float], day: date, agent: str = "a") -> pa.Table:
    days = [day - timedelta(days=len(values) - 1 - n) for n in range(len(values))]
    count = len(values)
    return pa.table(
        {
            "date": pa.array(days, pa.date32()),
            "provider": pa.array(["p"] * count, pa.string()),
            "model": pa.array(["m"] * count, pa.string()),
            "agent_id": pa.array([agent] * count, pa.string()),
            "total_tokens": pa.array([1000] * count, pa.int64()),
            "cost_usd": pa.array(list(values), pa.float64()),
        }
    )


def projection(values: Sequence[float], day: date, **settings: object) -> Row:
    inputs = StoredInputs(
        tables={CALLS: costs(values, day)},
        days={CALLS: frozenset(day - timedelta(days=n) for n in range(len(values)))},
        settings=settings,
    )
    return next(row for row in month_end.derive(inputs, day=day) if row["series_key"] == "total")


def test_drivers_multiply_to_the_cost():
    values = list(week_of(SUNDAY - timedelta(days=99), 100) / 10)
    for row in token_cost.derive({CALLS: costs(values, SUNDAY)}, day=SUNDAY):
        driven = (
            row["predicted_calls"] * row["tokens_per_call"] * row["usd_per_million_tokens"] / 1e6
        )
        assert driven == pytest.approx(float(row["predicted_cost_usd"]))
        assert row["predicted_calls"] == pytest.approx(1, rel=0.05)


def test_a_projection_is_what_is_known_and_what_is_forecast():
    day = date(2026, 11, 20)
    row = projection([10.0] * 100, day)
    assert (row["month_to_date_usd"], row["days_left"], row["days_missing"]) == (200, 10, 0)
    assert float(row["projected_cost_usd"]) == pytest.approx(300, rel=0.01)
    assert row["budget_usd"] is None
    assert str(row["explanation"]).startswith(
        "200.00 USD were spent from 2026-11-01 to 2026-11-20. The whole month comes to 300.00 USD,"
        " in 80 % of simulated months to between 300.00 and 300.00 USD. "
    )


@pytest.mark.parametrize("last", [date(2026, 11, 20), date(2026, 11, 30)])
def test_parts_add_up_where_days_are_missing_and_an_agent_ended_before_the_month(last: date):
    """Missing are the first six days; agent `b` was last seen on weekdays just before them."""
    missing = {date(2026, 11, 1) + timedelta(days=n) for n in range(6)}
    rng = np.random.default_rng(5)
    ended = np.where(np.arange(100) < 100 - last.day, 3.0, 0.0)
    tables = [
        costs(list(np.round(values, 6)), last, agent)
        for agent, values in {
            "a": week_of(last - timedelta(days=99), 100) * rng.lognormal(0, 0.2, 100),
            "b": ended,
            "c": rng.lognormal(0, 0.5, 100),
            "d": rng.lognormal(0, 0.5, 100) / 7,
        }.items()
    ]
    table = pa.concat_tables(tables)
    table = table.filter(pa.array([day not in missing for day in table["date"].to_pylist()]))
    days = frozenset(last - timedelta(days=n) for n in range(100)) - missing
    inputs = StoredInputs(tables={CALLS: table}, days={CALLS: days}, settings={})
    rows: dict[str, Row] = {
        str(row["series_key"]): row for row in month_end.derive(inputs, day=last)
    }
    assert rows["total"]["days_missing"] == 6
    for column in ("month_to_date_usd", "projected_cost_usd"):
        for kind in ("agent", "model"):
            parts = [row[column] for key, row in rows.items() if key.startswith(f"{kind}=")]
            assert sum(parts) == rows["total"][column]


def test_on_the_last_day_a_projection_is_what_the_month_cost():
    row = projection(list(week_of(date(2026, 9, 1), 91)), date(2026, 11, 30))
    known = row["month_to_date_usd"]
    assert row["days_left"] == 0
    assert {row[f"projected_{each}_usd"] for each in ("10", "50", "90", "cost")} == {known}
    assert row["explanation"] == f"November 2026 is over and cost {known:,.2f} USD."


@pytest.mark.parametrize(
    ("budget", "used_up", "likely"),
    [(150.0, date(2026, 11, 15), 1.0), (245.0, date(2026, 11, 25), 1.0), (9_999.0, None, 0.0)],
    ids=["before", "ahead", "never"],
)
def test_the_day_a_budget_is_used_up(budget: float, used_up: date | None, likely: float):
    row = projection([10.0] * 100, date(2026, 11, 20), LAKE_MONTHLY_BUDGET_USD=budget)
    assert row["budget_used_up_on"] == used_up
    assert row["over_budget_probability"] == likely
    assert row["budget_usd"] == budget
    told = {150.0: "was used up on 2026-11-15.", 245.0: "is expected to be used up on 2026-11-25."}
    end = told.get(budget, "lasts to the end of the month.")
    assert f"The budget of {budget:,.2f} USD {end}" in str(row["explanation"])


def test_sums_are_within_their_quantiles_as_often_as_they_say():
    rng = np.random.default_rng(8)
    inside: list[bool] = []
    for _ in range(50):
        level = np.exp(np.cumsum(rng.normal(0, 0.03, 90)))
        values = np.resize(WEEK, 90) * level * rng.lognormal(0, 0.25, 90)
        made = forecast_all({"a": values[:70]}, Rules(is_summed=True), ahead=20)["a"]
        total = sums(paths(made.point, made.spread, shared(made.backtest.errors)))
        assert total.totals.mean() == pytest.approx(made.point.sum())
        inside.append(total.quantile(0.1) <= values[70:].sum() <= total.quantile(0.9))
    assert np.mean(inside) == pytest.approx(0.8, abs=0.1)


@pytest.mark.parametrize(("together", "least", "most"), [(0.0, 0.0, 0.15), (1.0, 0.5, 1.0)])
def test_days_share_what_backtests_show_that_they_share(together: float, least: float, most: float):
    rng = np.random.default_rng(3)
    errors = together * rng.normal(size=(5, 1)) + (1 - together) * rng.normal(size=(5, 14))
    assert least <= shared(errors) <= most


def test_accuracy_counts_what_shared_a_series_and_leaves_out_unknown_days():
    day = SUNDAY
    made = {
        "series_key": ["total", "agent=a", "agent=(other)"],
        "target_date": [day] * 3,
        "model_name": ["WeightedMean"] * 3,
        "expected_mase": [1.0] * 3,
        "predicted_requests": [9.0, 4.0, 5.0],
        "lower_bound": [8.0, 4.0, 4.0],
        "upper_bound": [10.0, 5.0, 6.0],
        "lower_bound_95": [7.0, 3.0, 3.0],
        "upper_bound_95": [12.0, 6.0, 7.0],
        "date": [day - timedelta(days=3)] * 3,
    }
    schema = pa.table(made).schema
    nothing = pa.table({name: pa.array([], pa.float64()) for name in made})
    tables = {
        "derived/predictions/request_volume_forecast": pa.table(made, schema),
        "derived/predictions/token_cost_forecast": nothing,
        REQUESTS: requests({"a": [4], "b": [3], "c": [4]}, day),
        CALLS: costs([], day),
    }
    rows = list(forecast_accuracy.derive(tables, day=day))
    assert {row["series_key"]: (row["actual"], row["in_80"], row["in_95"]) for row in rows} == {
        "total": (11.0, False, True),
        "agent=a": (4.0, True, True),
        "agent=(other)": (7.0, False, True),
    }
    assert {(row["horizon_days"], row["forecast_date"]) for row in rows} == {(3, made["date"][0])}
