"""Steps of the method by themselves: training series, reconciliation, intervals."""

import numpy as np
import pytest

from lake_assets.models.forecast_backtest import Rules
from lake_assets.models.forecast_intervals import spread
from lake_assets.models.forecast_reconcile import Parts, reconciled, whole_units
from lake_assets.models.forecast_shift import newest_missed, without_steps
from lake_assets.models.forecast_training import steadied, tamed, trained_on
from lake_assets.models.forecasting import forecast_all

WEEK = np.array([1.0, 1.1, 1.05, 1.0, 0.9, 0.5, 0.4])


def test_a_spike_is_tamed_and_a_new_level_is_not():
    base = np.resize(100 * WEEK, 56)
    spiked = base.copy()
    spiked[40] *= 10
    assert tamed(spiked, 7)[40] == pytest.approx(base[40], rel=0.1)
    assert (np.delete(tamed(spiked, 7), 40) == np.delete(spiked, 40)).all()
    shifted = np.where(np.arange(56) >= 46, base * 3, base)
    assert tamed(shifted, 7)[-5:] == pytest.approx(shifted[-5:])


def test_days_before_a_new_weekly_rhythm_are_brought_to_it():
    rng = np.random.default_rng(14)
    before, after = np.resize(100 * WEEK, 56), np.resize(np.roll(100 * WEEK, 3), 28)
    values = np.concatenate((before, after)) * rng.uniform(0.95, 1.05, 84)
    steady = steadied(values, 7)
    wanted = np.resize(np.roll(100 * WEEK, 3), 84)
    assert np.abs(steady - wanted).mean() < 8
    assert np.abs(values[:56] - wanted[:56]).mean() > 25
    assert (steady[60:] == values[60:]).all()


@pytest.mark.parametrize("weeks", [2, 8])
def test_a_weekend_that_changes_is_a_new_rhythm_and_no_spike_every_week(weeks: int):
    share = np.where(np.arange(126) < 126 - 7 * weeks, 0.3, 1.0)
    weekend = np.arange(126) % 7 >= 5
    noise = np.random.default_rng(16).lognormal(0, 0.1, 126)
    values = np.where(weekend, 500 * share, 500) * noise
    trained = trained_on(values, 7)
    assert trained[weekend].mean() == pytest.approx(trained[~weekend].mean(), rel=0.15)
    assert trained[-7:] == pytest.approx(values[-7:])


@pytest.mark.parametrize("opens", [True, False])
def test_a_new_rhythm_leaves_the_sum_of_days_before_it(opens: bool):
    closed = np.array([20_000.0] * 6 + [0.0])
    week_before, week_after = (closed, np.full(7, 20_000.0))[:: 1 if opens else -1]
    values = np.concatenate((np.resize(week_before, 84), np.resize(week_after, 28)))
    wanted = np.resize(week_after * week_before.sum() / week_after.sum(), 70)
    assert steadied(values, 7)[:70] == pytest.approx(wanted, rel=0.1, abs=100)


@pytest.mark.parametrize("size", [0.1, 10])
def test_one_late_spike_is_no_new_rhythm(size: float):
    values = np.resize(100 * WEEK, 126) * np.random.default_rng(17).lognormal(0, 0.05, 126)
    values[-5] *= size
    assert (steadied(values, 7) == values).all()
    assert trained_on(values, 7)[-5] == pytest.approx(values[-12], rel=0.2)


@pytest.mark.parametrize("kind", ["noise", "growth", "new level", "counts", "spike"])
def test_an_ordinary_series_keeps_its_days(kind: str):
    rng = np.random.default_rng(15)
    days = np.arange(84)
    values = {
        "noise": np.resize(100 * WEEK, 84) * rng.lognormal(0, 0.3, 84),
        "growth": np.resize(100 * WEEK, 84) * 1.02**days * rng.lognormal(0, 0.1, 84),
        "new level": np.where(days > 50, 3, 1) * np.resize(100 * WEEK, 84) * rng.uniform(1, 2, 84),
        "counts": rng.poisson(np.resize(2 * WEEK, 84)).astype(float),
        "spike": np.where(days == 40, 10, 1) * np.resize(100 * WEEK, 84) * rng.uniform(1, 2, 84),
    }[kind]
    assert (steadied(values, 7) == values).all()


def test_too_short_a_series_has_one_rhythm():
    values = np.concatenate((np.resize(100 * WEEK, 14), np.resize(np.roll(100 * WEEK, 3), 20)))
    assert (steadied(values, 7) == values).all()


def parts(points: list[float], variances: list[float], reach: float = 1e9) -> Parts:
    column = np.array(points)[:, np.newaxis]
    return Parts(
        points=column,
        lower=np.maximum(column - reach, 0.0),
        upper=column + reach,
        variances=np.array(variances),
    )


def test_reconciling_moves_the_uncertain_more_and_nothing_below_zero():
    total, (moved,) = reconciled(np.array([100.0]), 1e-9, [parts([60.0, 20.0], [3.0, 1.0])])
    assert total[0] == pytest.approx(100.0)
    assert moved[:, 0] == pytest.approx([75.0, 25.0])
    _, (down,) = reconciled(np.array([1.0]), 1e-9, [parts([5.0, 5.0], [9.0, 0.1])])
    assert down[:, 0] == pytest.approx([0.0, 1.0])


def test_no_part_leaves_its_interval_when_the_total_can_give_way():
    ramp = parts([100.0, 20.0], [9.0, 1.0], reach=10.0)
    total, (moved,) = reconciled(np.array([40.0]), 1e-9, [ramp])
    assert moved[:, 0] == pytest.approx([90.0, 10.0])
    assert total[0] == pytest.approx(100.0)


def test_kinds_that_exclude_each_other_meet_in_the_middle():
    kinds = [parts([100.0], [1.0], reach=10.0), parts([30.0, 20.0], [1.0, 1.0], reach=5.0)]
    total, moved = reconciled(np.array([60.0]), 1.0, kinds)
    assert total[0] == pytest.approx(75.0)
    assert [each.sum() for each in moved] == pytest.approx([75.0, 75.0])


def test_rounding_keeps_sums_and_signs():
    rng = np.random.default_rng(8)
    parts = rng.exponential(0.4, (23, 14))
    totals, (whole,) = whole_units(parts.sum(axis=0), [parts], 0.125)
    assert (whole.sum(axis=0) == totals).all()
    assert (whole >= 0).all()
    assert np.abs(whole * 0.125 - parts).max() <= 0.2501


@pytest.mark.parametrize("name", ["normal", "heavy tails", "counts", "lopsided"])
def test_intervals_cover_what_they_say_when_errors_are_as_before(name: str):
    rng = np.random.default_rng(9)
    draw = {
        "normal": lambda size: rng.normal(100, 9, size),
        "heavy tails": lambda size: 100 + 5 * rng.standard_t(4, size),
        "counts": lambda size: rng.poisson(6, size).astype(float),
        "lopsided": lambda size: rng.gamma(2, 30, size),
    }[name]
    inside = {0.8: [], 0.95: []}
    for _ in range(60):
        values = draw(126)
        middle = np.full((5, 14), np.median(values))
        about = spread(
            values, middle[0], errors=values[:70].reshape(5, 14) - middle, points=middle, season=7
        )
        future = draw(14)
        for level, seen in inside.items():
            low, high = about.bounds(level)
            seen.append(((low <= future) & (future <= high)).mean())
    assert np.mean(inside[0.8]) == pytest.approx(0.8, abs=0.06)
    assert np.mean(inside[0.95]) == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize(("factor", "off"), [(0.2, 0.4), (5.0, 0.2)])
def test_a_step_two_weeks_ago_is_followed_half_way(factor: float, off: float):
    """By the backtests alone it is off by 0.85 and 0.27."""
    rng = np.random.default_rng(5)
    level = np.where(np.arange(140) >= 111, factor, 1.0)
    values = 300.0 * np.resize(np.where(np.arange(7) < 5, 1.0, 0.7), 140) * level
    values *= rng.lognormal(0, 0.05, 140)
    made = forecast_all({"a": values[:126]}, Rules())["a"]
    assert made.point.sum() == pytest.approx(values[126:].sum(), rel=off)
    low, high = made.bounds[0.8]
    assert ((low <= values[126:]) & (values[126:] <= high)).mean() > 0.7


def test_errors_of_origins_before_a_step_are_left_out_where_the_newest_had_seen_it():
    errors = np.full((3, 14), 1.0) * np.where(np.arange(14) % 2, 1, -1)
    errors[2] = -20.0
    kept = without_steps(errors)
    assert np.isnan(kept[2]).all()
    assert (kept[:2] == errors[:2]).all()
    assert (without_steps(errors[::-1]) == errors[::-1]).all()
    assert newest_missed(errors[::-1])
    assert not newest_missed(errors)
