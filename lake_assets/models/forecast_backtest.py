"""Which candidate forecasts a series best: rolling-origin backtests, and what they say of errors.

Belongs here: origins, errors, the choice, the scale of MASE.
Does not belong here: the candidates themselves, intervals, rows.

From each of up to `windows` past origins, a season apart, every candidate forecasts the horizon
from what was known there. `Median` is taken unless another candidate had clearly smaller absolute
errors: few origins make the best of seven look better than it is.

MASE (Hyndman & Koehler 2006) divides the mean absolute error by the mean absolute difference
between values one season apart in the last `SCALE_SEASONS` seasons of the training window: further
back, a series that grew differed by less.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lake_assets.models.forecast_candidates import COMBINATION, SEASONAL_NAIVE, forecasts
from lake_assets.models.series import Floats, filled

SCALE_SEASONS = 9
"""Eight differences of each weekday."""


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
    """How much smaller errors must be for a single model to be taken over the combination."""

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
    """Forecasts and signed errors (actual less forecast) of the chosen model, origin by step."""

    model: str
    fallback_reason: str
    errors: Floats
    points: Floats
    naive_mae: float
    mae: float
    scale: float
    mape: float | None
    runner_up: str

    @property
    def windows(self) -> int:
        """Forecasts that the errors are a mean of."""
        return len(self.errors)

    @property
    def mase(self) -> float | None:
        """Scaled error; None where the series never differs from the week before."""
        return self.mae / self.scale if self.scale > 0 and self.windows else None

    @property
    def naive_mase(self) -> float | None:
        """The same of seasonal naive from the same origins."""
        return self.naive_mae / self.scale if self.scale > 0 and self.windows else None


def backtest(values: Floats, rules: Rules) -> Backtest:
    """Choose the model of a series; gaps are NaN, and count neither for nor against a model."""
    whole = filled(values, rules.season)
    scale = seasonal_scale(values, rules.season)
    origins = rules.origins(len(values))
    reason = _too_little(values, origins, rules)
    if not origins:
        empty = np.empty((0, rules.horizon))
        return Backtest(
            model=SEASONAL_NAIVE,
            fallback_reason=reason,
            errors=empty,
            points=empty,
            naive_mae=0.0,
            mae=0.0,
            scale=scale,
            mape=None,
            runner_up="",
        )
    actual = np.stack([values[origin : origin + rules.horizon] for origin in origins])
    runs = [
        forecasts(whole[:origin], rules.season, rules.horizon, modelled=not reason)
        for origin in origins
    ]
    names = [name for name in runs[0] if all(name in run for run in runs)]
    points = {name: np.stack([run[name] for run in runs]) for name in names}
    maes = {name: _mean(np.abs(actual - points[name])) for name in names}
    chosen, runner_up = (SEASONAL_NAIVE, "") if reason else _choose(maes, rules.margin)
    errors = actual - points[chosen]
    return Backtest(
        model=chosen,
        fallback_reason=reason,
        errors=errors,
        points=points[chosen],
        naive_mae=maes[SEASONAL_NAIVE],
        mae=maes[chosen],
        scale=scale,
        mape=_mape(actual, errors),
        runner_up=runner_up,
    )


def _too_little(values: Floats, origins: tuple[int, ...], rules: Rules) -> str:
    days = int((~np.isnan(values)).sum())
    if not origins:
        return f"{len(values)} days are too few to choose a model"
    active = int((np.nan_to_num(values) > 0).sum())
    if active < rules.least_active:
        return f"{active} of {days} days above 0 are too few for a model"
    return ""


def _choose(maes: Mapping[str, float], margin: float) -> tuple[str, str]:
    ranked = sorted(maes, key=lambda name: (maes[name], name))
    best = ranked[0]
    if COMBINATION in maes and maes[best] >= maes[COMBINATION] * (1.0 - margin):
        best = COMBINATION
    others = [name for name in ranked if name != best]
    return best, others[0] if others else ""


def seasonal_scale(values: Floats, season: int) -> float:
    """The mean absolute difference between values one season apart; 0 where there are none."""
    recent = values[-SCALE_SEASONS * season :] if season > 1 else values
    if len(recent) <= season:
        return 0.0
    return _mean(np.abs(recent[season:] - recent[:-season]))


def _mean(values: Floats) -> float:
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if len(kept) else 0.0


def _mape(actual: Floats, errors: Floats) -> float | None:
    kept = ~np.isnan(actual)
    if not kept.any() or (actual[kept] <= 0).any():
        return None
    return 100.0 * float((np.abs(errors[kept]) / actual[kept]).mean())
