"""The forecasters that a backtest chooses from.

Belongs here: each candidate as a function from a training series to a horizon; taming of spikes.
Does not belong here: choosing between them (`forecast_backtest`), intervals.

Models come from statsforecast (Nixtla; a C++ core without threads: the same input gives the same
forecast), named as there: AutoETS restricted to one form (Hyndman et al. 2008, error/trend/season:
A additive, N none, Ad damped), so that it is estimated anew at every origin within milliseconds;
AutoTheta's dynamic optimised form (Fiorucci et al. 2016); MSTL (Bandara et al. 2021). A
`SeasonalMean` is the mean of the same weekday over some weeks. `sqrt` and `log` say the scale that
a model works on: counts and costs vary more where there are more of them. `Median` takes the median
of all models but the naive one, which is hard to beat by choosing (Petropoulos & Svetunkov 2020).
"""

import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lake_assets.models.series import Floats

SEASONAL_NAIVE = "SeasonalNaive"
COMBINATION = "Median"

Forecaster = Callable[[Floats, int, int], Floats]
"""From a training series, its season and a horizon to that many values."""

_FAILURES = (ValueError, ArithmeticError, RuntimeError, IndexError, TypeError)


def _library() -> Any:
    """The models of statsforecast, which take seconds to import."""
    return importlib.import_module("statsforecast.models")


def seasonal_naive(values: Floats, season: int, horizon: int) -> Floats:
    """The last season again and again; the mean of all where there is no whole season."""
    if len(values) < season:
        return np.full(horizon, values.mean() if len(values) else 0.0)
    return np.resize(values[-season:], horizon)


def _seasonal_mean(seasons: int) -> Forecaster:
    def forecast(values: Floats, season: int, horizon: int) -> Floats:
        whole = min(seasons, len(values) // season)
        if not whole:
            return seasonal_naive(values, season, horizon)
        return np.resize(values[-whole * season :].reshape(whole, season).mean(axis=0), horizon)

    return forecast


def _ets(form: str, *, damped: bool | None = None) -> Forecaster:
    def forecast(values: Floats, season: int, horizon: int) -> Floats:
        shape = form if season > 1 else f"{form[:2]}N"
        model = _library().AutoETS(season_length=season, model=shape, damped=damped)
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
    "AutoETS(AAdA, log)": _on("log", _ets("AAA", damped=True)),
    "AutoETS(AAA, log)": _on("log", _ets("AAA", damped=False)),
    "AutoTheta(DOTM)": _theta,
    "MSTL(log)": _on("log", _mstl),
    "SeasonalMean(3)": _seasonal_mean(3),
    "SeasonalMean(6)": _seasonal_mean(6),
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
    calm = tamed(values, season)
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
    if len(made) > 2:
        opinions = [made[name] for name in made if name != SEASONAL_NAIVE]
        made[COMBINATION] = np.median(np.stack(opinions), axis=0)
    return made


def tamed(values: Floats, season: int, *, limit: float = 4.0, longest: int = 3) -> Floats:
    """The series with short spikes and drops replaced by what was usual around them.

    A value is a spike when its logarithm lies more than `limit` robust standard deviations from
    the usual for its weekday and the two weeks around it, for at most `longest` days: what lasts
    longer is a new level and stays. Series that are mostly zero are left alone.
    """
    if season < 2 or len(values) < 4 * season or (values > 0).mean() < 0.7:
        return values
    logs = np.log1p(values)
    level = _running_median(logs, season)
    phases = np.arange(len(logs)) % season
    rhythm = np.array([np.median((logs - level)[day::season]) for day in range(season)])
    usual = rhythm[phases] + _running_median(logs - rhythm[phases], season)
    off = logs - usual
    noise = 1.4826 * float(np.median(np.abs(off)))
    # Counts are no surer than a Poisson count of their size.
    spread = np.maximum(noise, 1.0 / np.sqrt(np.expm1(usual).clip(0.0) + 1.0))
    spike = np.abs(off) > limit * np.maximum(spread, 0.02)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], spike.astype(np.int8), [0]))))
    out = values.copy()
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        if stop - start <= longest:
            out[start:stop] = np.expm1(usual[start:stop]).clip(0.0)
    return out


def _running_median(values: Floats, half: int) -> Floats:
    padded = np.pad(values, half, constant_values=np.nan)
    return np.nanmedian(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1), axis=1)
