"""The forecasters that a backtest chooses from.

Belongs here: each candidate as a function from a training series to a horizon.
Does not belong here: what they are trained on (`forecast_training`), choosing between them
(`forecast_backtest`), intervals.

Models come from statsforecast (Nixtla; a C++ core without threads: the same input gives the same
forecast), named as there: AutoETS restricted to one form (Hyndman et al. 2008, error/trend/season:
A additive, N none), so that it is estimated anew at every origin within milliseconds; AutoTheta's
dynamic optimised form (Fiorucci et al. 2016). `Line` is a level for each weekday and one slope, by
least squares in which a value counts half as much as one eight seasons later. `WeekdayMedian` is
that of the last eight weeks, `RecentMean` a mean by weekday in which a value counts half as much as
one ten values later. `sqrt` and `log` say the scale that a model works on: counts and costs vary
more where there are more of them, and what grows does so by a share. Both scales mirror negative
values.

`means` are forecasts of what will be summed: means of the series as it was, with its spikes and its
empty days.
"""

import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lake_assets.models.forecast_training import trained_on
from lake_assets.models.series import Floats

SEASONAL_NAIVE = "SeasonalNaive"
RECENT_MEAN = "RecentMean"

Forecaster = Callable[[Floats, int, int], Floats]
"""From a training series, its season and a horizon to that many values."""

_LINE_HALF_LIFE = 8
"""Seasons after which a value counts half as much for `Line`."""


def _library() -> Any:
    """The models of statsforecast, which take seconds to import."""
    return importlib.import_module("statsforecast.models")


def seasonal_naive(values: Floats, season: int, horizon: int) -> Floats:
    """The last season again and again; the mean of all where there is no whole season."""
    if len(values) < season:
        return np.full(horizon, values.mean() if len(values) else 0.0)
    return np.resize(values[-season:], horizon)


def _line(values: Floats, season: int, horizon: int) -> Floats:
    places = np.arange(1 - len(values), 1, dtype=np.float64)
    phases = np.arange(len(values)) % season
    terms = np.zeros((len(values), season + 1))
    terms[np.arange(len(values)), phases] = 1.0
    terms[:, season] = places / season
    weighted = terms.T * np.power(0.5, -places / (_LINE_HALF_LIFE * season))
    # A phase without a value would leave nothing to solve.
    solvable = weighted @ terms + 1e-9 * np.eye(season + 1)
    found = np.linalg.solve(solvable, weighted @ values)
    ahead = np.arange(1, horizon + 1)
    return found[(len(values) - 1 + ahead) % season] + found[season] * ahead / season


def _ets(form: str) -> Forecaster:
    def forecast(values: Floats, season: int, horizon: int) -> Floats:
        shape = form if season > 1 else f"{form[:2]}N"
        model = _library().AutoETS(season_length=season, model=shape, damped=False)
        return model.forecast(y=values, h=horizon)["mean"]

    return forecast


def _theta(values: Floats, season: int, horizon: int) -> Floats:
    model = _library().AutoTheta(season_length=season, model="DOTM")
    return model.forecast(y=values, h=horizon)["mean"]


def _weekday_median(values: Floats, season: int, horizon: int) -> Floats:
    if len(values) < season:
        return seasonal_naive(values, season, horizon)
    newest_first = values[::-1][: 8 * season]
    # The first step ahead has the phase of the value one season before it.
    phases = [float(np.median(newest_first[season - 1 - step :: season])) for step in range(season)]
    return np.resize(np.array(phases), horizon)


def recent_mean(values: Floats, season: int, horizon: int, *, half_life: float = 10.0) -> Floats:
    """The mean by weekday, half as much for a value `half_life` before another one.

    A weekday with little to say leans on the mean of all days. Of a series that has just begun,
    the newest days count more, so that a ramp is followed.
    """
    if not len(values):
        return np.zeros(horizon)
    ages = np.arange(len(values), dtype=np.float64)[::-1]
    weights = np.power(0.5, ages / min(half_life, max(1.0, len(values) / 4.0)))
    level = float((weights * values).sum() / weights.sum())
    if len(values) < 2 * season:
        return np.full(horizon, level)
    phases = (np.arange(len(values)) - len(values)) % season
    sums = np.bincount(phases, weights * values, minlength=season)
    counts = np.bincount(phases, weights, minlength=season)
    return np.resize((sums + 0.5 * level) / (counts + 0.5), horizon)


def _overall_mean(half_life: float) -> Forecaster:
    def forecast(values: Floats, _season: int, horizon: int) -> Floats:
        weights = np.power(0.5, np.arange(len(values), dtype=np.float64)[::-1] / half_life)
        return np.full(horizon, float((weights * values).sum() / weights.sum()))

    return forecast


def _on(scale: str, inner: Forecaster) -> Forecaster:
    def forecast(values: Floats, season: int, horizon: int) -> Floats:
        if scale == "sqrt":
            made = inner(np.sign(values) * np.sqrt(np.abs(values)), season, horizon)
            # Of an amount, what lies below 0 on this scale is 0; of what may be below, it is there.
            made = np.maximum(made, 0.0) if (values >= 0).all() else made
            return np.sign(made) * np.square(made)
        made = inner(np.sign(values) * np.log1p(np.abs(values)), season, horizon)
        return np.sign(made) * np.expm1(np.minimum(np.abs(made), 700.0))

    return forecast


MODELS: Mapping[str, Forecaster] = {
    "AutoETS(ANA, sqrt)": _on("sqrt", _ets("ANA")),
    "AutoETS(ANA, log)": _on("log", _ets("ANA")),
    "AutoETS(AAA, log)": _on("log", _ets("AAA")),
    "AutoTheta(DOTM, sqrt)": _on("sqrt", _theta),
    "Line(log)": _on("log", _line),
    "WeekdayMedian": _weekday_median,
    RECENT_MEAN: recent_mean,
}

MEANS: Mapping[str, Forecaster] = {
    RECENT_MEAN: recent_mean,
    "MonthlyMean": lambda values, season, horizon: recent_mean(
        values, season, horizon, half_life=30.0
    ),
    "OverallMean(7)": _overall_mean(7.0),
    "OverallMean(23)": _overall_mean(23.0),
}


def forecasts(
    values: Floats, season: int, horizon: int, *, modelled: bool = True
) -> dict[str, Floats]:
    """What every candidate makes of a series, by name; one that can't is left out.

    None goes below the least that a forecast may be (`lowest_of`), nor above three times the
    greatest value it was trained on. Without `modelled`, the two that need no history.
    """
    simple = {SEASONAL_NAIVE: seasonal_naive, RECENT_MEAN: recent_mean}
    if not modelled:
        return _made(simple, values, season, horizon, values)
    calm = trained_on(values, season)
    made = _made({SEASONAL_NAIVE: seasonal_naive}, values, season, horizon, values)
    return made | _made(MODELS, calm, season, horizon, values)


def means(values: Floats, season: int, horizon: int) -> dict[str, Floats]:
    """What every mean of a series as it was makes of it, and seasonal naive to compare with."""
    candidates = {SEASONAL_NAIVE: seasonal_naive, **MEANS}
    return _made(candidates, values, season, horizon, values)


def _made(
    candidates: Mapping[str, Forecaster], calm: Floats, season: int, horizon: int, values: Floats
) -> dict[str, Floats]:
    floor, ceiling = lowest_of(values), 3.0 * float(values.max(initial=0.0))
    made: dict[str, Floats] = {}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for name, model in candidates.items():
            try:
                forecast = np.asarray(model(calm, season, horizon), dtype=np.float64)
            except Exception:  # noqa: BLE001, S112 - whatever it raises, it is no candidate
                continue
            if len(forecast) == horizon and np.isfinite(forecast).all():
                made[name] = np.clip(forecast, floor, ceiling)
    return made


def lowest_of(values: Floats) -> float:
    """The least that a forecast may be: 0, or three times the least value where that is below."""
    least = float(values.min(initial=0.0))
    return 3.0 * least if least < 0 else 0.0
