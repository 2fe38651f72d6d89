"""Forecasts of a total and its parts: the whole method, from daily series to agreeing intervals.

Belongs here: the order of the steps and their result per series.
Does not belong here: the steps themselves (`forecast_*`), tables and rows.

Per series: days off and gaps are filled, days before a new weekly rhythm brought to it, spikes
tamed, models weighed by rolling-origin backtest, the horizon forecast from the last known value,
intervals taken from its own errors; then totals and parts are made to agree. Series too short or
too sparse for that, or with nothing known to test on, are forecast by a recent mean, and say so.
The same series give the same forecasts, in any order and with any others beside them but for the
reconciliation. A series that can't be forecast says why, and the others are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from lake_assets.models.forecast_backtest import (
    Backtest,
    Rules,
    backtest,
    candidates,
    mixed,
    seasonal_scale,
    untested,
)
from lake_assets.models.forecast_calendar import DaysOff
from lake_assets.models.forecast_candidates import recent_mean
from lake_assets.models.forecast_intervals import LEVELS, Bounds, Spread, spread
from lake_assets.models.forecast_reconcile import Parts, Whole, reconciled, whole_units
from lake_assets.models.forecast_shift import without_steps
from lake_assets.models.series import Floats, filled

_ENDLESS = 1e250
"""A sum beyond is none: a value in it had no end."""
LIMIT = 1e100
"""Values beyond are taken as that: their squares are still numbers."""
_REACH = 0.4
"""Share of the inner interval that a part may be moved within, so that sums agree."""
_BUSY = 0.5
"""Share of days with anything from which on a series began with the first of them."""
LIMIT_UNITS = 1e13
"""Whole units beyond which sums over parts are no longer exact as floats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """A series ahead; `bounds` are (lower, upper) by nominal level, around `point`.

    `alone` is the forecast before total and parts were made to agree.
    """

    point: Floats
    bounds: Mapping[float, Bounds]
    backtest: Backtest
    trained_on: int
    """Values before the first one known are no part of it."""
    alone: Floats
    spread: Spread
    stale: int = 0
    """Values at the end of the series that are gaps."""
    trouble: str = ""
    """What was wrong with the series, as a sentence without its full stop."""
    expected_mase: float | None = None
    """The mean absolute error to expect, scaled like MASE; None where there is no scale."""

    def moved_to(self, point: Floats) -> "Forecast":
        """The same forecast at another point, its intervals moved along."""
        bounds = {level: self.spread.bounds(level, moved_to=point) for level in self.bounds}
        return replace(self, point=point, bounds=bounds)


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeForecast:
    """A forecast in whole numbers of a unit, so that sums are exact."""

    point: Whole
    bounds: Mapping[float, tuple[Whole, Whole]]
    alone: Whole
    made: Forecast


def forecast_all(
    series: Mapping[str, Floats],
    rules: Rules,
    *,
    ahead: int | None = None,
    days_off: DaysOff | None = None,
    limit: float = LIMIT,
) -> dict[str, Forecast]:
    """Forecast each series by itself, `ahead` values or those of the rules; a gap is NaN."""
    steps = rules.horizon if ahead is None else ahead
    found: dict[str, Forecast] = {}
    for name, values in series.items():
        usable, trouble = _usable(values, limit)
        begun = _first_value(usable)
        off = days_off.since(begun) if days_off else None
        try:
            with np.errstate(all="ignore"):
                made = _forecast(usable[begun:], rules, steps, off)
        except Exception as error:  # noqa: BLE001 - no series may take the others down
            made = _without_models(usable[begun:], rules, steps, type(error).__name__)
        found[name] = replace(made, trouble=trouble)
    return found


def _usable(values: Floats, limit: float) -> tuple[Floats, str]:
    """The series without what no model can be given, and what that was."""
    endless = ~np.isnan(values) & (np.abs(values) > _ENDLESS)
    usable = np.where(endless, np.nan, values)
    beyond = np.abs(usable) > limit
    said: list[str] = []
    if endless.any():
        said.append(f"days without a finite sum are gaps ({endless.sum()})")
    if beyond.any():
        most = f"{limit:,.0f}" if limit < 1e15 else f"{limit:.0e}"
        said.append(f"days beyond {most} count as that ({beyond.sum()})")
    return np.clip(usable, -limit, limit), ", ".join(said)


def _first_value(values: Floats) -> int:
    """The place of the first value that is not 0: the series did not exist before it.

    One that has had little since is no new one that is busy: what was before it is zeros as well.
    """
    known = np.flatnonzero(~np.isnan(values))
    begun = known[values[known] != 0]
    if not len(begun):
        return 0
    since = known[known >= begun[0]]
    is_busy = (values[since] != 0).mean() >= _BUSY
    return int(begun[0] if is_busy else known[0])


def _forecast(values: Floats, rules: Rules, ahead: int, days_off: DaysOff | None) -> Forecast:
    known = np.flatnonzero(~np.isnan(values))
    end = int(known[-1]) + 1 if len(known) else 0
    if not end:
        return _without_models(values, rules, ahead, "")
    stale, values = len(values) - end, values[:end]
    test = backtest(values, rules, days_off)
    made = candidates(values, rules, test.kind, horizon=stale + ahead, days_off=days_off)
    point = mixed(made, test.weights)[stale:]
    whole = filled(values, rules.season)
    about = spread(
        whole,
        point,
        errors=without_steps(test.errors),
        points=test.points,
        season=rules.season,
        first_step=stale + 1,
    )
    scale = seasonal_scale(values, rules.season)
    return Forecast(
        point=point,
        bounds={level: about.bounds(level) for level in LEVELS},
        backtest=test,
        trained_on=stale + end,
        alone=point,
        spread=about,
        stale=stale,
        expected_mase=_expected_error(about, test) / scale if scale > 0 else None,
    )


def _expected_error(about: Spread, test: Backtest) -> float:
    """The mean absolute error to expect, half of it what the newest backtest came to."""
    newest = np.abs(test.errors[0]) if len(test.errors) else np.empty(0)
    newest = newest[~np.isnan(newest)]
    if not newest.any():
        return about.error
    return float(np.sqrt(about.error * newest.mean()))


def _without_models(values: Floats, rules: Rules, ahead: int, error: str) -> Forecast:
    """A recent mean of what is known, where nothing else can be had."""
    known = values[~np.isnan(values)]
    point = recent_mean(known, 1, ahead)
    nothing = np.empty((0, rules.horizon))
    about = spread(known, point, errors=nothing, points=nothing, season=1)
    reason = f"the models failed with {error}" if error else "no day is known"
    return Forecast(
        point=point,
        bounds={level: about.bounds(level) for level in LEVELS},
        backtest=untested(rules, reason),
        trained_on=len(values),
        alone=point,
        spread=about,
    )


def forecast_parts(
    total: Floats,
    kinds: Mapping[str, Mapping[str, Floats]],
    rules: Rules,
    *,
    unit: float,
    ahead: int | None = None,
    limit_units: float = LIMIT_UNITS,
    days_off: DaysOff | None = None,
) -> dict[str, WholeForecast]:
    """Forecast `total` and `KIND=PART` of every kind, so that the parts of each add up to it.

    Points and bounds are whole numbers of `unit`, `ahead` of them or as many as the rules say.
    """
    steps = rules.horizon if ahead is None else ahead
    series = {"total": total}
    for kind, parts in kinds.items():
        series.update({f"{kind}={name}": values for name, values in sorted(parts.items())})
    made = forecast_all(series, rules, ahead=steps, days_off=days_off, limit=limit_units * unit)
    names = [[key for key in made if key.startswith(f"{kind}=")] for kind in kinds]
    new_total, new_kinds = reconciled(
        made["total"].point,
        _variance(made["total"]),
        [_parts([made[key] for key in keys], steps) for keys in names],
    )
    whole_total, whole_kinds = whole_units(new_total, new_kinds, unit)
    points = {"total": whole_total}
    for keys, values in zip(names, whole_kinds, strict=True):
        points.update(dict(zip(keys, values, strict=True)))
    return {key: _whole(made[key], points[key], unit) for key in made}


def _parts(made: list[Forecast], steps: int) -> Parts:
    def stacked(rows: list[Floats]) -> Floats:
        return np.stack(rows) if rows else np.empty((0, steps))

    def reach(end: int) -> list[Floats]:
        return [each.point + _REACH * (each.bounds[LEVELS[0]][end] - each.point) for each in made]

    return Parts(
        points=stacked([each.point for each in made]),
        lower=stacked(reach(0)),
        upper=stacked(reach(1)),
        variances=np.array([_variance(each) for each in made]),
    )


def _variance(forecast: Forecast) -> float:
    """How uncertain it is, by the width of its inner interval."""
    lower, upper = forecast.bounds[LEVELS[0]]
    # In squares, with a little of the level, so that a constant series is not beyond doubt.
    return float(((upper - lower).mean() + 0.01 * np.abs(forecast.point).mean()) ** 2)


def _whole(forecast: Forecast, point: Whole, unit: float) -> WholeForecast:
    moved = forecast.moved_to(point.astype(np.float64) * unit)
    bounds: dict[float, tuple[Whole, Whole]] = {}
    for level, (lower, upper) in moved.bounds.items():
        low = np.floor(lower / unit + 1e-6).astype(np.int64)
        high = np.ceil(upper / unit - 1e-6).astype(np.int64)
        bounds[level] = (np.minimum(low, point), np.maximum(high, point))
    alone = np.rint(forecast.alone / unit).astype(np.int64)
    return WholeForecast(point=point, bounds=bounds, alone=alone, made=moved)
