"""The forecasters that a backtest chooses from.

Belongs here: each candidate as a function from a training series to a horizon.
Does not belong here: what they are trained on (`forecast_training`), choosing between them
(`forecast_backtest`), intervals.

Models come from statsforecast (Nixtla; a C++ core without threads: the same input gives the same
forecast), named as there: AutoETS restricted to one form (Hyndman et al. 2008, error/trend/season:
A additive, N none), so that it is estimated anew at every origin within milliseconds;
AutoTheta's dynamic optimised form (Fiorucci et al. 2016); MSTL (Bandara et al. 2021). `Line` is a
level for each weekday and one slope, by least squares in which a value counts half as much as one
eight seasons later. `sqrt` and `log` say the scale that a model works on: counts and costs vary
more where there are more of them, and what grows does so by a share.
"""

import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lake_assets.models.forecast_training import trained_on
from lake_assets.models.series import Floats

SEASONAL_NAIVE = "SeasonalNaive"

Forecaster = Callable[[Floats, int, int], Floats]
"""From a training series, its season and a horizon to that many values."""

_LINE_HALF_LIFE = 8
"""Seasons after which a value counts half as much for `Line`."""

_FAILURES = (ValueError, ArithmeticError, RuntimeError, IndexError, TypeError)


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


def _mstl(values: Floats, season: int, horizon: int) -> Floats:
    models = _library()
    model = (
        models.MSTL(season_length=season)
        if season > 1
        else models.AutoETS(season_length=1, model="ZZN")
    )
    return model.forecast(y=values, h=horizon)["mean"]


def _on(scale: str, inner: Forecaster) -> Forecaster:
    def forecast(values: Floats, season: int, horizon: int) -> Floats:
        if scale == "sqrt":
            return np.square(np.maximum(inner(np.sqrt(values), season, horizon), 0.0))
        return np.expm1(np.minimum(inner(np.log1p(values), season, horizon), 700.0))

    return forecast


MODELS: Mapping[str, Forecaster] = {
    "AutoETS(ANA, sqrt)": _on("sqrt", _ets("ANA")),
    "AutoETS(AAA, log)": _on("log", _ets("AAA")),
    "AutoTheta(DOTM)": _theta,
    "MSTL(log)": _on("log", _mstl),
    "Line(log)": _on("log", _line),
}


def forecasts(
    values: Floats, season: int, horizon: int, *, modelled: bool = True
) -> dict[str, Floats]:
    """What every candidate makes of a series, by name; one that can't is left out.

    None goes below 0, nor above three times the greatest value it was trained on. Without
    `modelled`, seasonal naive alone.
    """
    if not modelled:
        return {SEASONAL_NAIVE: seasonal_naive(values, season, horizon)}
    ceiling = 3.0 * float(values.max(initial=0.0))
    calm = trained_on(values, season)
    made = {SEASONAL_NAIVE: seasonal_naive(values, season, horizon)}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for name, model in MODELS.items():
            try:
                forecast = np.asarray(model(calm, season, horizon), dtype=np.float64)
            except _FAILURES:
                # A form that can't be estimated on this series is no candidate for it.
                continue
            if np.isfinite(forecast).all():
                made[name] = np.clip(forecast, 0.0, ceiling)
    return made
