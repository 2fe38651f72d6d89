"""Sums of forecast days: what they come to, from simulated paths.

Belongs here: paths around a forecast, sums over days, when a sum is reached.
Does not belong here: forecasts, months, rows.

Bounds of days do not add up to bounds of their sum: days err together where a level was misjudged,
and apart where chance differs. A path draws both: a value h steps ahead is the quantile of its
distribution at a probability whose normal score is one draw for the path and one for the day, by
`share`. That share is what the series itself shows, the variance of sums over backtests beside the
variance of days, moved towards what is usual. Draws are the same for every series and day of a
forecast, so that the same input gives the same sums.
"""

from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np

from lake_assets.models.forecast_intervals import Spread
from lake_assets.models.series import Floats

PATHS = 2000
_SEED = 20_250_101
_USUAL_SHARE = 0.2
"""Share of the variance of a day that all days of a path have in common, where little is known."""
_EVIDENCE = 5.0
"""Backtests that count as much as what is usual."""


def shared(errors: Floats) -> float:
    """The share of errors' variance that days of one origin have in common."""
    known = errors[~np.isnan(errors).any(axis=1)] if errors.size else errors
    usable, days = known.shape if known.ndim == 2 else (0, 0)
    if usable < 2 or days < 2:
        return _USUAL_SHARE
    square = float((known**2).mean())
    if not square > 0:
        return _USUAL_SHARE
    # Of n days that share r of their variance, the mean has r + (1 - r) / n of it.
    of_mean = float((known.mean(axis=1) ** 2).mean()) / square
    seen = min(max((of_mean - 1.0 / days) / (1.0 - 1.0 / days), 0.0), 1.0)
    return (usable * seen + _EVIDENCE * _USUAL_SHARE) / (usable + _EVIDENCE)


def paths(point: Floats, about: Spread, share: float) -> Floats:
    """Simulated values, paths by steps; each day is distributed as its intervals say."""
    level, days = _draws(len(point))
    scores = np.sqrt(share) * level + np.sqrt(1.0 - share) * days
    made = about.quantiles(_probability(scores)) + (point - about.point)
    cap = np.maximum(about.cap, point)
    made = np.clip(made, np.minimum(about.floor, point), cap)
    # Cutting moves the mean; what paths add up to on average is the sum that was forecast.
    means = made.mean(axis=0)
    if about.floor < 0:
        return made + (point - means)
    return made * np.divide(point, means, out=np.ones(len(point)), where=means > 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What days add up to along paths: at the end of each, and in the middle after each day."""

    totals: Floats
    after: Floats

    def quantile(self, probability: float) -> float:
        """The sum that is not exceeded with a probability."""
        return float(np.quantile(self.totals, probability))


def sums(made: Floats) -> Sums:
    """What paths add up to; nothing on each where there is no day."""
    along = np.cumsum(made, axis=1)
    totals = along[:, -1] if made.shape[1] else np.zeros(len(made))
    return Sums(totals=totals, after=np.median(along, axis=0))


@cache
def _draws(steps: int) -> tuple[Floats, Floats]:
    """Normal scores of paths and of their days, each with its mirror image, so that means agree."""
    rng = np.random.default_rng(_SEED)
    level, days = rng.normal(size=(PATHS // 2, 1)), rng.normal(size=(PATHS // 2, steps))
    return np.concatenate((level, -level)), np.concatenate((days, -days))


@cache
def _table() -> tuple[Floats, Floats]:
    places = np.linspace(-5.0, 5.0, 2001)
    normal = NormalDist()
    return places, np.array([normal.cdf(place) for place in places])


def _probability(scores: Floats) -> Floats:
    places, probabilities = _table()
    return np.interp(scores, places, probabilities)
