"""Intervals around forecasts, calibrated on what backtests got wrong.

Belongs here: the width of an interval from errors of rolling-origin backtests.
Does not belong here: making forecasts, reconciling them.

Conformal in kind (Vovk et al. 2005; Stankevičiūtė et al. 2021): no distribution is assumed. The
width at step h of a series is a quantile of absolute errors, scaled by the series' own error beside
its level (a series that doubled errs by twice as much), by how errors grow with h over all series,
and by the square root of the day's level (a Sunday of half the volume errs by less). Quantiles are
taken over the scaled errors of all series together, each scaled by the *other* origins of its
series, so that how badly a few origins tell the size of errors is part of the width. Errors from
one origin hang together, so the correction for few of them counts origins, not errors.
"""

from collections.abc import Sequence

import numpy as np

from lake_assets.models.series import Floats

LEVELS = (0.8, 0.95)

_GAUSSIAN = {0.8: 1.6, 0.95: 2.46}
"""Quantiles of absolute errors over their mean, of a normal distribution: where nothing is told."""
_AFTER_CHOICE = 1.02
"""Models err by more later than in the backtests that weighed them."""
_ENOUGH = 40
"""Scaled errors below which quantiles lean on the normal ones."""


class Calibration:
    """What the backtests of a set of series say of intervals."""

    def __init__(self, errors: Sequence[Floats], points: Sequence[Floats], horizon: int) -> None:
        self._growth = _growth(errors, horizon)
        scores = [
            _scores(error, point, self._growth) for error, point in zip(errors, points, strict=True)
        ]
        pooled = np.concatenate([np.empty(0), *scores])
        origins = sum(len(error) for error in errors)
        self._quantiles = {level: _quantile(pooled, level, origins) for level in LEVELS}

    def half_width(
        self, point: Floats, error: Floats, points: Floats, *, spare: float, level: float
    ) -> Floats:
        """The half width at each step of `point`, after backtests with `error` around `points`.

        `spare` is a mean absolute error to go by where there was no backtest.
        """
        level_now = _level(point, points)
        size = _size(error, points, self._growth) * level_now if len(error) else spare
        return _AFTER_CHOICE * self._quantiles[level] * size * self._growth * _relative(point)


def _level(point: Floats, points: Floats) -> float:
    """The level of a forecast, half way to that of all backtests: it may be a chance low."""
    here = float(point.mean())
    return (here + float(points.mean())) / 2.0 if points.size else here


def _relative(point: Floats) -> Floats:
    """The square root of each step's level over that of all; 1 where nothing is expected."""
    mean = point.mean(axis=-1, keepdims=True)
    safe = np.where(mean > 0, mean, 1.0)
    # A tenth of the mean level stays on days when nothing is expected.
    return np.where(mean > 0, np.sqrt((point + 0.1 * safe) / (1.1 * safe)), 1.0)


def _growth(errors: Sequence[Floats], horizon: int) -> Floats:
    """How large errors are at each step beside their mean, as a line over all series."""
    shapes: list[Floats] = []
    for error in errors:
        size = np.abs(error)
        mean = np.nanmean(size) if size.size and not np.isnan(size).all() else 0.0
        if mean > 0:
            shapes.append(np.nan_to_num(size / mean, nan=1.0).mean(axis=0))
    if not shapes or horizon < 2:
        return np.ones(horizon)
    steps = np.linspace(-1.0, 1.0, horizon)
    profile = np.median(np.stack(shapes), axis=0)
    slope = float((steps * profile).sum() / (steps * steps).sum())
    return 1.0 + steps * min(max(slope, 0.0), 0.6)


def _size(error: Floats, points: Floats, growth: Floats) -> float:
    """The mean absolute error beside the level it was made at."""
    levels = np.array([_level(point, points) for point in points])
    scaled = np.abs(error) / growth / np.maximum(levels, 1e-12)[:, np.newaxis]
    return float(np.nanmean(scaled)) if not np.isnan(scaled).all() else 0.0


def _scores(error: Floats, points: Floats, growth: Floats) -> Floats:
    """Absolute errors of each origin over the size of errors from the other ones."""
    out: list[Floats] = []
    for index, point in enumerate(points):
        others = np.delete(error, index, axis=0), np.delete(points, index, axis=0)
        size = _size(*others, growth) * _level(point, points) if len(others[0]) else 0.0
        if size > 0:
            out.append(np.abs(error[index]) / (size * growth * _relative(point)))
    scores = np.concatenate([np.empty(0), *out])
    return scores[~np.isnan(scores)]


def _quantile(scores: Floats, level: float, origins: int) -> float:
    usual = _GAUSSIAN[level]
    if not len(scores):
        # One origin or none: errors may well be larger than the one that was seen.
        return 1.25 * usual
    # Of n exchangeable ones, the next lies below the (n + 1) * level smallest with that chance.
    told = float(np.quantile(scores, min(1.0, level * (1.0 + 1.0 / origins))))
    trust = min(1.0, len(scores) / _ENOUGH)
    return trust * told + (1.0 - trust) * max(told, 1.25 * usual)
