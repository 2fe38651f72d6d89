"""How a series is forecast best: rolling-origin backtests, and what they say of errors.

Belongs here: origins, errors, the choice and its weights, the scale of MASE.
Does not belong here: the candidates themselves, intervals, rows.

From each of up to `windows` past origins, a season apart, every candidate forecasts the horizon
from what was known there. A series is forecast by `WeightedMean`: the mean of all candidates, each
weighted by its mean absolute error to the power of -7, so that a clearly better one has nearly all
the weight and equal ones share it. Means of models err less than the one that few origins make look
best (Petropoulos & Svetunkov 2020). Seasonal naive is taken where it had clearly smaller errors.

Where the newest origin missed a step, half of the weights are those of the last season alone: what
was best before the step may follow it last.

Absolute errors are least in the middle of what may come, which is no use where forecasts are added
up (`is_summed`): of an agent that costs something every third day the middle is nothing. There
models are scaled by how much more a series adds up to than its middle; where days of nothing come
by chance, the candidates are means of the series as it was, weighted by squared errors.

MASE is that of Hyndman & Koehler (2006): the mean absolute error from an origin over the mean
absolute difference between values one season apart in the whole training window before it; of
several origins, the mean of theirs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from lake_assets.models.forecast_calendar import DaysOff, share_of_days_off, without_days_off
from lake_assets.models.forecast_candidates import (
    RECENT_MEAN,
    SEASONAL_NAIVE,
    forecasts,
    means,
)
from lake_assets.models.forecast_shift import newest_missed
from lake_assets.models.forecast_training import skew
from lake_assets.models.series import Flags, Floats, filled

COMBINATION = "WeightedMean"

_POWER = 7.0
_POWER_OF_MEANS = 2.0
_POWER_AFTER_A_STEP = 3.0
"""One season says less of a model than five origins do."""
_SKEW = 0.3
"""How much of the skew goes into a forecast that is summed: models follow some of it already."""
_BY_CHANCE = 0.05
"""How uncertain it is whether a day has anything, from which on a series is intermittent."""


class Kind(StrEnum):
    """Which candidates a series has."""

    MODELS = "models"
    MEANS = "means"
    SIMPLE = "simple"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How series are backtested; the defaults are for days, weeks and two weeks ahead."""

    season: int = 7
    horizon: int = 14
    windows: int = 5
    least_seasons: int = 3
    """Seasons that a model must have seen before the first origin."""
    least_active: int = 8
    """Values above 0 below which a series is too sparse for a model."""
    margin: float = 0.25
    """How much smaller errors must be for seasonal naive to be taken over the combination."""
    is_summed: bool = False
    """Whether forecasts are means, as what will be added up must be."""

    @property
    def step(self) -> int:
        """Distance between origins."""
        return self.season if self.season > 1 else max(1, self.horizon // 2)

    def origins(self, length: int) -> tuple[int, ...]:
        """Lengths of the training series, the latest origin first."""
        least = max(self.least_seasons * self.season, 10)
        latest = length - self.horizon
        return tuple(
            latest - back * self.step
            for back in range(self.windows)
            if latest - back * self.step >= least
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """Forecasts and signed errors (actual less forecast) of what was chosen, origin by step.

    `weights` say how much each candidate counts in the chosen forecast; they add up to 1.
    """

    model: str
    kind: Kind
    weights: Mapping[str, float]
    fallback_reason: str
    errors: Floats
    points: Floats
    mase: float | None
    """Scaled error; None where the series never differs from the week before."""
    naive_mase: float | None
    """The same of seasonal naive from the same origins."""
    mape: float | None

    @property
    def windows(self) -> int:
        """Forecasts that the errors are a mean of."""
        return len(self.errors)


def untested(rules: Rules, reason: str) -> Backtest:
    """What is known of a series without a backtest."""
    empty = np.empty((0, rules.horizon))
    return Backtest(
        model=RECENT_MEAN,
        kind=Kind.SIMPLE,
        weights={RECENT_MEAN: 1.0},
        fallback_reason=reason,
        errors=empty,
        points=empty,
        mase=None,
        naive_mase=None,
        mape=None,
    )


def backtest(values: Floats, rules: Rules, days_off: DaysOff | None = None) -> Backtest:
    """Choose the model of a series; gaps are NaN, and count neither for nor against a model.

    An origin after which all is a gap is none. `days_off` are those of the values, and after them.
    """
    origins = tuple(
        origin
        for origin in rules.origins(len(values))
        if not np.isnan(values[origin : origin + rules.horizon]).all()
    )
    reason = _too_little(values, origins, rules)
    if not origins:
        return untested(rules, reason)
    kind = _kind(values, rules, reason)
    actual = np.stack([values[origin : origin + rules.horizon] for origin in origins])
    runs = [
        candidates(values[:origin], rules, kind, horizon=rules.horizon, days_off=days_off)
        for origin in origins
    ]
    names = [name for name in runs[0] if all(name in run for run in runs)]
    points = {name: np.stack([run[name] for run in runs]) for name in names}
    maes = {name: _mean(np.abs(actual - points[name])) for name in names}
    if kind is Kind.MEANS:
        rms = {name: _mean((actual - points[name]) ** 2) ** 0.5 for name in names}
        weights = _weights(rms, _POWER_OF_MEANS)
    elif kind is Kind.SIMPLE:
        weights = {RECENT_MEAN: 1.0}
    else:
        weights = _weights(maes, _POWER)
    model, chosen = RECENT_MEAN if reason else COMBINATION, mixed(points, weights)
    took = _mean(np.abs(actual - chosen)) * (1.0 - rules.margin)
    if kind is Kind.MODELS and newest_missed(actual - chosen):
        newest = _weights(_newest_maes(values, rules, names, days_off), _POWER_AFTER_A_STEP)
        weights = {name: (each + newest.get(name, 0.0)) / 2.0 for name, each in weights.items()}
        chosen = mixed(points, weights)
    elif maes[SEASONAL_NAIVE] < took and not rules.is_summed:
        model, weights, chosen = SEASONAL_NAIVE, {SEASONAL_NAIVE: 1.0}, points[SEASONAL_NAIVE]
    errors = actual - chosen
    scales = [seasonal_scale(values[:origin], rules.season) for origin in origins]
    return Backtest(
        model=model,
        kind=kind,
        weights=weights,
        fallback_reason=reason,
        errors=errors,
        points=chosen,
        mase=_scaled(errors, scales),
        naive_mase=_scaled(actual - points[SEASONAL_NAIVE], scales),
        mape=_mape(actual, errors),
    )


def _newest_maes(
    values: Floats, rules: Rules, names: Sequence[str], days_off: DaysOff | None
) -> dict[str, float]:
    """Mean absolute errors over the last season, forecast from before it."""
    origin = len(values) - rules.season
    made = candidates(values[:origin], rules, Kind.MODELS, horizon=rules.season, days_off=days_off)
    return {name: _mean(np.abs(values[origin:] - made[name])) for name in names if name in made}


def candidates(
    values: Floats, rules: Rules, kind: Kind, *, horizon: int, days_off: DaysOff | None = None
) -> dict[str, Floats]:
    """What every candidate of a kind makes of a series with gaps, by name."""
    # Gaps are filled from both sides, so at each origin anew: what comes later is not known there.
    usual = without_days_off(values, days_off, rules.season)
    known = filled(usual, rules.season)
    if kind is Kind.MEANS:
        made = means(known, rules.season, horizon)
    else:
        made = forecasts(known, rules.season, horizon, modelled=kind is Kind.MODELS)
        if rules.is_summed and kind is Kind.MODELS:
            more = 1.0 + _SKEW * (skew(known, rules.season) - 1.0)
            made = {n: each if n == SEASONAL_NAIVE else each * more for n, each in made.items()}
    shares = share_of_days_off(values, usual, days_off, rules.season, horizon)
    return made if shares is None else {name: each * shares for name, each in made.items()}


def _kind(values: Floats, rules: Rules, reason: str) -> Kind:
    if reason:
        return Kind.SIMPLE
    return Kind.MEANS if rules.is_summed and _is_intermittent(values, rules) else Kind.MODELS


def _is_intermittent(values: Floats, rules: Rules) -> bool:
    """Whether days of nothing come by chance, and not by the day of the week."""
    active: Flags = filled(values, rules.season)[-12 * rules.season :] > 0
    shares = np.array([active[::-1][phase :: rules.season].mean() for phase in range(rules.season)])
    return float(np.minimum(shares, 1.0 - shares).mean()) > _BY_CHANCE


def _too_little(values: Floats, origins: tuple[int, ...], rules: Rules) -> str:
    days = int((~np.isnan(values)).sum())
    if not rules.origins(len(values)):
        return f"{len(values)} days are too few to choose a model"
    if not origins:
        return "no day is known that models could be tested on"
    active = int((np.nan_to_num(values) != 0).sum())
    if active < rules.least_active:
        return f"{active} of {days} days above 0 are too few for a model"
    return ""


def _weights(errors: Mapping[str, float], power: float) -> dict[str, float]:
    """How much each model counts, by how small its errors were; without any, seasonal naive."""
    errors = {name: each for name, each in errors.items() if name != SEASONAL_NAIVE} or errors
    # Errors of nearly nothing are all the same.
    least = max(min(errors.values()), 1e-9 * max(errors.values()), 1e-300)
    raw = {name: (max(error, least) / least) ** -power for name, error in errors.items()}
    return {name: weight / sum(raw.values()) for name, weight in raw.items()}


def mixed(points: Mapping[str, Floats], weights: Mapping[str, float]) -> Floats:
    """The weighted mean of forecasts; one that is missing leaves its weight to the others.

    Without any that has a weight, seasonal naive.
    """
    present = {name: weight for name, weight in weights.items() if name in points}
    if not present:
        return points[SEASONAL_NAIVE]
    total = sum(present.values())
    return np.sum([points[name] * (weight / total) for name, weight in present.items()], axis=0)


def seasonal_scale(values: Floats, season: int) -> float:
    """The mean absolute difference between values one season apart; 0 where there are none."""
    if len(values) <= season:
        return 0.0
    return _mean(np.abs(values[season:] - values[:-season]))


def _scaled(errors: Floats, scales: Sequence[float]) -> float | None:
    """The mean over origins of their scaled errors; None where an origin has no scale."""
    if not all(scale > 0 for scale in scales):
        return None
    sizes = [_mean(np.abs(error)) for error in errors]
    return float(np.mean(np.array(sizes) / np.array(scales)))


def _mean(values: Floats) -> float:
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if len(kept) else 0.0


def _mape(actual: Floats, errors: Floats) -> float | None:
    kept = ~np.isnan(actual)
    if not kept.any() or (actual[kept] <= 0).any():
        return None
    return 100.0 * float((np.abs(errors[kept]) / actual[kept]).mean())
