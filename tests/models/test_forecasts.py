import random
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lake_assets.catalog import load_catalog
from lake_assets.models import request_volume, token_cost
from lake_assets.models.derivation import derivation_of
from lake_assets.models.forecast_backtest import (
    COMBINATION,
    Rules,
    backtest,
    mixed,
    seasonal_scale,
)
from lake_assets.models.forecast_candidates import (
    RECENT_MEAN,
    SEASONAL_NAIVE,
    forecasts,
    seasonal_naive,
)
from lake_assets.models.forecast_rows import why
from lake_assets.models.forecasting import forecast_all
from lake_assets.models.series import OTHER_NAME, at_most, filled

DAY = date(2026, 11, 22)
WEEK = np.array([1.0, 1.1, 1.05, 1.0, 0.9, 0.5, 0.4])
Row = Mapping[str, Any]


def requests(days: int, *, last: date = DAY, seed: int = 1) -> pa.Table:
    """Three agents, one of them young, and people without one, over two services."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, object]] = []
    for ago in range(days - 1, -1, -1):
        day = last - timedelta(days=ago)
        for agent, size in (("busy", 40), ("calm", 12), (None, 5), ("young", 6)):
            if agent == "young" and ago > 20:
                continue
            for _ in range(rng.poisson(size * WEEK[day.weekday()])):
                service = rng.choice(["api", "mcp", ""])
                rows.append({"date": day, "agent_id": agent, "service": service or None})
    return pa.Table.from_pylist(
        rows,
        pa.schema([("date", pa.date32()), ("agent_id", pa.string()), ("service", pa.string())]),
    )


def calls(days: int) -> pa.Table:
    rng = np.random.default_rng(2)
    rows: list[dict[str, object]] = []
    for ago in range(days - 1, -1, -1):
        day = DAY - timedelta(days=ago)
        for agent, model, size in (("busy", "gpt/4o", 9), (None, "gpt-4o", 4), ("calm", "free", 3)):
            for _ in range(rng.poisson(size * WEEK[day.weekday()])):
                tokens = int(rng.lognormal(6, 0.5))
                cost = 0 if model == "free" else tokens * 3
                row = {"date": day, "provider": "p", "model": model, "agent_id": agent}
                rows.append({**row, "total_tokens": tokens, "cost_usd": Decimal(cost).scaleb(-6)})
    schema = pa.schema(
        [
            ("date", pa.date32()),
            ("provider", pa.string()),
            ("model", pa.string()),
            ("agent_id", pa.string()),
            ("total_tokens", pa.int64()),
            ("cost_usd", pa.decimal128(18, 6)),
        ]
    )
    return pa.Table.from_pylist(rows, schema)


def forecast(table: pa.Table, day: date = DAY) -> list[Row]:
    return list(request_volume.derive({"mcp_request_logs": table}, day=day))


@pytest.fixture(scope="module")
def volume() -> list[Row]:
    return forecast(requests(70))


@pytest.fixture(scope="module")
def cost() -> list[Row]:
    return list(token_cost.derive({"platform/llm_token_usage": calls(56)}, day=DAY))


def test_every_series_has_fourteen_days_ahead(volume: list[Row]):
    keys = {row["series_key"] for row in volume}
    assert keys == {
        "total",
        "service=api",
        "service=mcp",
        "service=(none)",
        "agent=busy",
        "agent=calm",
        "agent=young",
        "agent=(none)",
    }
    for key in keys:
        rows = [row for row in volume if row["series_key"] == key]
        assert [row["horizon_days"] for row in rows] == list(range(1, 15))
        assert [row["target_date"] for row in rows] == [
            DAY + timedelta(days=h + 1) for h in range(14)
        ]
    assert len({row["forecast_id"] for row in volume}) == len(volume)


@pytest.mark.parametrize("kind", ["service=", "agent="])
def test_parts_of_each_kind_add_up_to_the_total_exactly(volume: list[Row], kind: str):
    for horizon in range(1, 15):
        at = [row for row in volume if row["horizon_days"] == horizon]
        total = next(row for row in at if row["series_key"] == "total")
        parts = [r["predicted_requests"] for r in at if r["series_key"].startswith(kind)]
        assert sum(parts) == total["predicted_requests"]


@pytest.mark.parametrize("kind", ["model=", "agent="])
def test_costs_and_tokens_add_up_exactly(cost: list[Row], kind: str):
    for horizon in range(1, 15):
        at = [row for row in cost if row["horizon_days"] == horizon]
        total = next(row for row in at if row["series_key"] == "total")
        parts = [row for row in at if row["series_key"].startswith(kind)]
        assert len(parts) == 3
        for column in ("predicted_cost_usd", "predicted_tokens"):
            assert sum(part[column] for part in parts) == total[column]


def test_a_model_is_named_by_provider_and_name(cost: list[Row]):
    named = {row["series_key"]: (row["provider"], row["llm_model"]) for row in cost}
    assert named["model=p/gpt/4o"] == ("p", "gpt/4o")
    assert named["total"] == (None, None)
    assert named["agent=busy"] == (None, None)


def test_what_is_free_has_tokens_and_no_cost(cost: list[Row]):
    free = [row for row in cost if row["series_key"] == "model=p/free"]
    assert {row["predicted_cost_usd"] for row in free} == {0}
    assert all(row["predicted_tokens"] > 0 for row in free)


def test_intervals_hold_the_point_and_lie_within_each_other(volume: list[Row]):
    for row in volume:
        assert (
            0
            <= row["lower_bound_95"]
            <= row["lower_bound"]
            <= row["predicted_requests"]
            <= row["upper_bound"]
            <= row["upper_bound_95"]
        )
        assert row["upper_bound"] > row["lower_bound"]


def test_long_series_are_forecast_by_a_model_and_short_ones_say_why_not(volume: list[Row]):
    by_key = {row["series_key"]: row for row in volume}
    total, young = by_key["total"], by_key["agent=young"]
    assert not total["is_fallback"]
    assert total["mase"] < total["naive_mase"]
    assert f"{total['mase']:.2f}" in total["explanation"]
    assert (total["training_points"], total["training_start"]) == (70, DAY - timedelta(days=69))
    assert young["is_fallback"]
    assert young["model_name"] == RECENT_MEAN
    assert (young["status"], total["status"]) == ("fallback", "ok")
    assert young["explanation"] == (
        "A recent mean replaces the models: 21 days are too few to choose a model."
    )
    assert young["mase"] is None
    assert young["training_points"] == 21


def test_the_week_is_in_the_forecast(volume: list[Row]):
    total = {r["target_date"].weekday(): r["predicted_requests"] for r in volume[:7]}
    assert total[6] < 0.6 * total[0]


def test_the_same_rows_in_any_order_give_the_same_forecast(volume: list[Row]):
    table = requests(70)
    order = list(range(table.num_rows))
    random.Random(3).shuffle(order)
    assert forecast(table.take(order)) == volume


def test_rows_after_the_day_change_nothing():
    table = requests(50, last=DAY + timedelta(days=9))
    cut = table.filter(pa.array([day <= DAY for day in table["date"].to_pylist()]))
    assert cut.num_rows < table.num_rows
    assert forecast(table) == forecast(cut)


def test_a_day_that_the_lake_lacks_is_a_gap_and_not_a_zero():
    table = requests(56)
    lost = {DAY - timedelta(days=back) for back in (0, 9, 10)}
    kept = table.filter(pa.array([day not in lost for day in table["date"].to_pylist()]))
    whole, gapped = forecast(table), forecast(kept)
    assert gapped[0]["training_end"] == DAY - timedelta(days=1)
    for before, after in zip(whole[:14], gapped[:14], strict=True):
        assert after["predicted_requests"] == pytest.approx(before["predicted_requests"], rel=0.25)


def test_no_rows_no_forecast():
    assert forecast(requests(3).slice(0, 0)) == []


def test_two_days_are_enough_to_say_something():
    rows = forecast(requests(2))
    assert all(row["is_fallback"] and row["predicted_requests"] >= 0 for row in rows)


@pytest.mark.parametrize("name", ["request_volume_forecast", "token_cost_forecast"])
def test_rows_have_the_declared_columns(name: str, volume: list[Row], cost: list[Row]):
    dataset = load_catalog()[f"derived/predictions/{name}"]
    rows = volume if name.startswith("request") else cost
    assert set(rows[0]) | {"generated_at"} == set(dataset.column_names)
    assert derivation_of(dataset).derive is not None
    for column in dataset.columns:
        if column.required and column.name != "generated_at":
            assert all(row[column.name] is not None for row in rows), column.name


def shapes() -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    rng = np.random.default_rng(5)
    yield "zeros", np.zeros(60)
    yield "constant", np.full(60, 7.0)
    yield "one value", np.array([3.0])
    yield "sparse", np.where(np.arange(60) % 15 == 0, 4.0, 0.0)
    yield "huge", rng.lognormal(30, 1, 60)
    yield "tiny", rng.lognormal(-12, 1, 60)
    yield "explodes", np.exp(np.arange(60) / 3.0)
    yield "ends in zeros", np.concatenate((rng.poisson(20, 45).astype(float), np.zeros(15)))


@pytest.mark.parametrize(("name", "values"), list(shapes()), ids=[name for name, _ in shapes()])
def test_odd_series_are_forecast_by_finite_numbers(name: str, values: np.ndarray[Any, Any]):
    made = forecast_all({name: values}, Rules())[name]
    assert np.isfinite(made.point).all()
    assert (made.point >= 0).all()
    assert made.point.max() <= 3 * values.max()
    for low, high in made.bounds.values():
        assert (low <= made.point).all()
        assert (high >= made.point).all()


def test_a_constant_series_stays_and_has_no_scale():
    made = forecast_all({"a": np.full(60, 7.0)}, Rules())["a"]
    assert made.point == pytest.approx(np.full(14, 7.0))
    assert made.backtest.mase is None


def test_a_sparse_series_says_so():
    values = np.where(np.arange(60) % 15 == 0, 4.0, 0.0)
    assert backtest(values, Rules()).fallback_reason == (
        "4 of 60 days above 0 are too few for a model"
    )


def test_models_are_weighed_by_their_errors():
    rng = np.random.default_rng(4)
    noise = rng.poisson(np.resize(50 * WEEK, 70)).astype(float)
    test = backtest(noise, Rules())
    assert test.model == COMBINATION
    assert sum(test.weights.values()) == pytest.approx(1)
    origins = Rules().origins(70)
    actual = np.stack([noise[at : at + 14] for at in origins])
    made = [forecasts(noise[:at], 7, 14) for at in origins]
    maes = {name: np.abs(actual - [one[name] for one in made]).mean() for name in made[0]}
    assert SEASONAL_NAIVE not in test.weights
    ranked = sorted(test.weights, key=lambda name: -test.weights[name])
    assert ranked == sorted(test.weights, key=lambda name: maes[name])
    best, second = ranked[:2]
    assert test.weights[best] / test.weights[second] == pytest.approx(
        (maes[second] / maes[best]) ** 7
    )
    assert test.points[0] == pytest.approx(mixed(made[0], test.weights))


def test_a_model_that_fails_leaves_its_weight_to_the_others():
    points = {"a": np.array([1.0]), "b": np.array([3.0]), SEASONAL_NAIVE: np.array([9.0])}
    assert mixed(points, {"a": 0.25, "b": 0.25, "c": 0.5}) == pytest.approx([2.0])
    assert mixed(points, {"c": 1.0}) == pytest.approx([9.0])


def test_seasonal_naive_is_taken_where_it_is_clearly_better():
    values = np.resize(np.array([0.0, 90.0, 3.0, 50.0, 7.0, 0.0, 1.0]), 70)
    values[::2] += np.resize([0.0, 40.0, 0.0], 35)
    assert backtest(values, Rules(margin=1.0)).model == COMBINATION
    assert backtest(values, Rules(margin=-9.0)).model == SEASONAL_NAIVE


def test_a_series_that_never_changes_has_no_scale():
    same = backtest(np.resize(50 * WEEK, 70), Rules())
    assert np.abs(same.errors).mean() == pytest.approx(0, abs=1.5)
    assert same.mase is None


def test_the_sentence_of_a_series_without_a_scale_fits_what_was_taken():
    # The same every week only up to the earliest origin, so that one alone has no scale.
    values = np.resize(50 * WEEK, 70)
    values[30:] *= np.random.default_rng(20).uniform(0.5, 1.5, 40)
    naive, mean = (backtest(values, Rules(margin=margin)) for margin in (-9.0, 1.0))
    assert naive.mase is mean.mase is None
    assert why(naive) == (
        "Seasonal naive itself was best over 5 backtests; the mean of all models did clearly worse."
    )
    assert why(mean).endswith(
        "is taken; before at least one of 5 backtests no day was seen to differ from the week "
        "before, so errors have no scale."
    )


def test_the_scaled_error_is_the_published_one_at_every_origin():
    rng = np.random.default_rng(12)
    values = rng.poisson(np.resize(50 * WEEK, 60) * 1.01 ** np.arange(60)).astype(float)
    rules = Rules()
    test = backtest(values, rules)
    scaled: list[float] = []
    for origin, errors in zip(rules.origins(60), test.errors, strict=True):
        training = values[:origin]
        naive = [abs(training[day] - training[day - 7]) for day in range(7, origin)]
        scaled.append(np.mean(np.abs(errors)) / np.mean(naive))
    assert test.mase == pytest.approx(np.mean(scaled))


def test_what_comes_after_an_origin_is_no_part_of_its_scale():
    rng = np.random.default_rng(13)
    values = rng.poisson(np.resize(50 * WEEK, 49)).astype(float)
    (origin, *_) = Rules(windows=1).origins(49)
    later = values.copy()
    later[origin:] *= 3
    calm, grown = backtest(values, Rules(windows=1)), backtest(later, Rules(windows=1))
    assert calm.mase is not None
    assert grown.mase is not None
    ratio = np.abs(grown.errors).mean() / np.abs(calm.errors).mean()
    assert grown.mase / calm.mase == pytest.approx(ratio)


def test_origins_lie_a_season_apart_and_see_three_seasons():
    rules = Rules()
    assert rules.origins(34) == ()
    assert rules.origins(42) == (28, 21)
    assert len(rules.origins(126)) == rules.windows


def test_a_candidate_sees_nothing_but_its_training_series():
    rng = np.random.default_rng(6)
    values = rng.poisson(np.resize(50 * WEEK, 60)).astype(float)
    other = values.copy()
    other[50:] = 9_999.0
    early, late = forecasts(values[:50], 7, 14), forecasts(other[:50], 7, 14)
    assert early.keys() == late.keys()
    assert all((early[name] == late[name]).all() for name in early)


def test_a_gap_before_an_origin_is_not_filled_from_after_it():
    values = np.random.default_rng(18).poisson(np.resize(50 * WEEK, 60)).astype(float)
    (origin,) = Rules(windows=1).origins(60)
    values[origin - 3] = np.nan
    later = values.copy()
    later[origin:] *= 3
    tests = [backtest(each, Rules(windows=1, margin=-9.0)) for each in (values, later)]
    assert (tests[0].points == tests[1].points).all()


def test_an_origin_with_nothing_but_gaps_after_it_counts_for_nothing():
    values = np.random.default_rng(19).poisson(np.resize(50 * WEEK, 60)).astype(float)
    rules = Rules(windows=2, margin=-9.0)
    late, early = rules.origins(60)
    values[late:] = np.nan
    test = backtest(values, rules)
    assert test.windows == 1
    scale = seasonal_scale(values[:early], 7)
    assert test.mase == pytest.approx(np.nanmean(np.abs(test.errors)) / scale)
    values[early:] = np.nan
    assert backtest(values, rules).fallback_reason == (
        "no day is known that models could be tested on"
    )


def test_growth_goes_on_in_the_forecast():
    values = np.resize(100 * WEEK, 84) * 1.02 ** np.arange(84)
    ahead = forecast_all({"a": values}, Rules())["a"].point
    assert ahead == pytest.approx(np.resize(100 * WEEK, 14) * 1.02 ** np.arange(84, 98), rel=0.1)


def test_small_parts_share_a_series_when_there_are_too_many():
    parts = {f"a{n:03d}": np.full(4, float(n)) for n in range(10)}
    kept = at_most(parts, 3)
    assert set(kept) == {"a007", "a008", "a009", OTHER_NAME}
    assert kept[OTHER_NAME].sum() == 4 * sum(range(7))
    named = at_most({**parts, OTHER_NAME: np.full(4, 99.0)}, 3)
    assert named[OTHER_NAME].sum() == 4 * (sum(range(7)) + 99)


def test_gaps_are_filled_from_the_same_weekday():
    values = np.resize(np.arange(7.0), 28)
    values[10] = np.nan
    assert filled(values, 7)[10] == 3.0
    assert filled(np.full(5, np.nan), 7).sum() == 0


def test_seasonal_naive_and_its_scale():
    values = np.concatenate((np.arange(7.0), np.arange(7.0) + 2))
    assert seasonal_naive(values, 7, 9).tolist() == [2, 3, 4, 5, 6, 7, 8, 2, 3]
    assert seasonal_scale(values, 7) == 2.0
    assert seasonal_naive(np.array([4.0, 6.0]), 7, 2).tolist() == [5.0, 5.0]
