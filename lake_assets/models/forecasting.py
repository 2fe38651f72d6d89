"""Forecasts of a total and its parts: the whole method, from daily series to agreeing intervals.

Belongs here: the order of the steps and their result per series.
Does not belong here: the steps themselves (`forecast_*`), tables and rows.

Per series: gaps are filled, days before a new weekly rhythm brought to it, spikes tamed, models
weighed by rolling-origin backtest, the horizon forecast, intervals calibrated on the backtests;
then totals and parts are made to agree. Series too short or too sparse for that, or with nothing
known to test on, are forecast by seasonal naive, and say so. The same series give
the same forecasts, in any order and with any others beside them but for the reconciliation and
the pooled shape of the intervals.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lake_assets.models.forecast_backtest import (
    Backtest,
    Rules,
    backtest,
    mixed,
    seasonal_scale,
)
from lake_assets.models.forecast_candidates import forecasts
from lake_assets.models.forecast_intervals import LEVELS, Calibration
from lake_assets.models.forecast_reconcile import Whole, reconciled, whole_units
from lake_assets.models.series import Floats, filled


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """A series ahead; `bounds` are (lower, upper) by nominal level, none below 0."""

    point: Floats
    bounds: Mapping[float, tuple[Floats, Floats]]
    backtest: Backtest
    trained_on: int
    """Values before the first one known are no part of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeForecast:
    """A forecast in whole numbers of a unit, so that sums are exact."""

    point: Whole
    bounds: Mapping[float, tuple[Whole, Whole]]
    backtest: Backtest
    trained_on: int


def forecast_all(series: Mapping[str, Floats], rules: Rules) -> dict[str, Forecast]:
    """Forecast each series by itself; a gap is NaN."""
    trimmed = {name: from_first_value(values) for name, values in series.items()}
    tests = {name: backtest(values, rules) for name, values in trimmed.items()}
    shape = Calibration(
        [test.errors for test in tests.values()],
        [test.points for test in tests.values()],
        rules.horizon,
    )
    return {name: _forecast(trimmed[name], tests[name], shape, rules) for name in series}


def from_first_value(values: Floats) -> Floats:
    """The series without what lies before its first value above 0: it did not exist then."""
    begun = np.flatnonzero(np.nan_to_num(values) > 0)
    return values[begun[0] :] if len(begun) else values


def _forecast(values: Floats, test: Backtest, shape: Calibration, rules: Rules) -> Forecast:
    whole = filled(values, rules.season)
    made = forecasts(whole, rules.season, rules.horizon, modelled=not test.fallback_reason)
    point = mixed(made, test.weights)
    spare = seasonal_scale(values, rules.season) or float(np.std(whole))
    bounds: dict[float, tuple[Floats, Floats]] = {}
    for level in LEVELS:
        half = shape.half_width(point, test.errors, test.points, spare=spare, level=level)
        bounds[level] = (np.maximum(point - half, 0.0), point + half)
    return Forecast(point=point, bounds=bounds, backtest=test, trained_on=len(values))


def forecast_parts(
    total: Floats, kinds: Mapping[str, Mapping[str, Floats]], rules: Rules, *, unit: float
) -> dict[str, WholeForecast]:
    """Forecast `total` and `KIND=PART` of every kind, so that the parts of each add up to it.

    Points and bounds are whole numbers of `unit`.
    """
    series = {"total": total}
    for kind, parts in kinds.items():
        series.update({f"{kind}={name}": values for name, values in sorted(parts.items())})
    made = forecast_all(series, rules)
    names = [[key for key in made if key.startswith(f"{kind}=")] for kind in kinds]
    horizon = rules.horizon
    new_total, new_kinds = reconciled(
        made["total"].point,
        [_stacked([made[key].point for key in keys], horizon) for keys in names],
        _variance(made["total"]),
        [np.array([_variance(made[key]) for key in keys]) for keys in names],
    )
    whole_total, whole_kinds = whole_units(new_total, new_kinds, unit)
    points = {"total": whole_total}
    for keys, values in zip(names, whole_kinds, strict=True):
        points.update(dict(zip(keys, values, strict=True)))
    return {key: _whole(made[key], points[key], unit) for key in made}


def _stacked(rows: list[Floats], steps: int) -> Floats:
    return np.stack(rows) if rows else np.empty((0, steps))


def _variance(forecast: Forecast) -> float:
    """How uncertain it is, by the width of its inner interval."""
    lower, upper = forecast.bounds[LEVELS[0]]
    # In squares, with a little of the level, so that a constant series is not beyond doubt.
    return float(((upper - lower).mean() + 0.01 * forecast.point.mean()) ** 2)


def _whole(forecast: Forecast, point: Whole, unit: float) -> WholeForecast:
    bounds: dict[float, tuple[Whole, Whole]] = {}
    for level, (lower, upper) in forecast.bounds.items():
        low = np.floor((lower - forecast.point) / unit).astype(np.int64) + point
        high = np.ceil((upper - forecast.point) / unit).astype(np.int64) + point
        bounds[level] = (np.maximum(low, 0), np.maximum(high, point))
    return WholeForecast(
        point=point, bounds=bounds, backtest=forecast.backtest, trained_on=forecast.trained_on
    )
