"""Which candidate forecasts a series best: rolling-origin backtests, and what they say of errors.

Belongs here: origins, errors, the choice and its weights, the scale of MASE.
Does not belong here: the candidates themselves, intervals, rows.

From each of up to `windows` past origins, a season apart, every candidate forecasts the horizon
from what was known there. A series is forecast by `WeightedMean`: the mean of all models, each
weighted by its mean absolute error to the power of -6, so that a clearly better one has nearly all
the weight and equal ones share it. Means of models err less than the one that few origins make look
best (Petropoulos & Svetunkov 2020). Seasonal naive is taken where it had clearly smaller errors.

MASE is that of Hyndman & Koehler (2006): the mean absolute error from an origin over the mean
absolute difference between values one season apart in the whole training window before it; of
several origins, the mean of theirs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lake_assets.models.forecast_candidates import SEASONAL_NAIVE, forecasts
from lake_assets.models.series import Floats, filled

COMBINATION = "WeightedMean"

_POWER = 6.0


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
    margin: float = 0.1
    """How much smaller errors must be for seasonal naive to be taken over the combination."""

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


def backtest(values: Floats, rules: Rules) -> Backtest:
    """Choose the model of a series; gaps are NaN, and count neither for nor against a model.

    An origin after which all is a gap is none.
    """
    origins = tuple(
        origin
        for origin in rules.origins(len(values))
        if not np.isnan(values[origin : origin + rules.horizon]).all()
    )
    reason = _too_little(values, origins, rules)
    if not origins:
        empty = np.empty((0, rules.horizon))
        return Backtest(
            model=SEASONAL_NAIVE,
            weights={SEASONAL_NAIVE: 1.0},
            fallback_reason=reason,
            errors=empty,
            points=empty,
            mase=None,
            naive_mase=None,
            mape=None,
        )
    actual = np.stack([values[origin : origin + rules.horizon] for origin in origins])
    # Gaps are filled from both sides, so at each origin anew: what comes later is not known there.
    known = [filled(values[:origin], rules.season) for origin in origins]
    runs = [forecasts(each, rules.season, rules.horizon, modelled=not reason) for each in known]
    names = [name for name in runs[0] if all(name in run for run in runs)]
    points = {name: np.stack([run[name] for run in runs]) for name in names}
    maes = {name: _mean(np.abs(actual - points[name])) for name in names}
    weights = _weights(maes)
    model, chosen = COMBINATION, mixed(points, weights)
    if maes[SEASONAL_NAIVE] < _mean(np.abs(actual - chosen)) * (1.0 - rules.margin) or reason:
        model, weights, chosen = SEASONAL_NAIVE, {SEASONAL_NAIVE: 1.0}, points[SEASONAL_NAIVE]
    errors = actual - chosen
    scales = [seasonal_scale(values[:origin], rules.season) for origin in origins]
    return Backtest(
        model=model,
        weights=weights,
        fallback_reason=reason,
        errors=errors,
        points=chosen,
        mase=_scaled(errors, scales),
        naive_mase=_scaled(actual - points[SEASONAL_NAIVE], scales),
        mape=_mape(actual, errors),
    )


def _too_little(values: Floats, origins: tuple[int, ...], rules: Rules) -> str:
    days = int((~np.isnan(values)).sum())
    if not rules.origins(len(values)):
        return f"{len(values)} days are too few to choose a model"
    if not origins:
        return "no day is known that models could be tested on"
    active = int((np.nan_to_num(values) > 0).sum())
    if active < rules.least_active:
        return f"{active} of {days} days above 0 are too few for a model"
    return ""


def _weights(maes: Mapping[str, float]) -> dict[str, float]:
    """How much each model counts, by how small its errors were; without any, seasonal naive."""
    models = {name: mae for name, mae in maes.items() if name != SEASONAL_NAIVE} or dict(maes)
    # Errors of nearly nothing are all the same.
    least = max(min(models.values()), 1e-9 * max(models.values()), 1e-300)
    raw = {name: (max(mae, least) / least) ** -_POWER for name, mae in models.items()}
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
