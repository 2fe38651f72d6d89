"""Intervals around forecasts, from what a series itself did and what backtests got wrong.

Belongs here: the spread of a forecast, its quantiles, and bounds that know zero.
Does not belong here: making forecasts, reconciling them.

A value h steps ahead is the forecast plus its width times one standardised error. The width grows
with h, and with the level of the day (a Sunday of half the volume errs by less). Errors are those
of the backtests of the chosen forecast, and those of the mean of the last four weeks a day ahead:
few origins close together say little of how far errors reach, a training window says it of many
days. Part of a quantile is the own one of these errors, so intervals are as lopsided as the series;
the other part is that of a t distribution of four degrees of freedom, whose tails stand in for what
was not seen yet. Of a series that is often zero, half of a quantile is that of the values
themselves, those of the same weekday first. Nothing comes from other series: one beside it that is
exceptional, or the same again as a total, changes no interval.

Bounds are cut at the floor (0, or below what was negative) and at ten times the largest value. What
lies behind them is kept uncut, so a forecast that is moved later moves its bounds from where they
were. Where the floor is within an interval, what lies below it has no chance: the upper bound is
then taken lower in probability, nearly as in a one-sided interval. A
trend may end or turn: what it is expected to add widens the interval.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lake_assets.models.forecast_candidates import lowest_of
from lake_assets.models.series import Floats

LEVELS = (0.8, 0.95)

Bounds = tuple[Floats, Floats]
"""Lower and upper ends at each step."""

CAP = 10.0
"""Times the largest value that was seen: no bound lies beyond."""

_ABOVE_FLOOR = 1.8
"""Times the tail above that is left out where nothing can lie below; 2 would be one-sided."""
_TREND = 1.25
"""Share of what a trend adds in a season that it may be off by."""
_TREND_SEASONS = 10
_LONGEST_TAIL = 3.0
"""Times the usual tail beyond which an own one is a level that was left, not an error."""
_OWN = 0.4
"""Share of the own errors in a quantile, after all backtests; less after fewer."""
_OWN_WITHOUT_TEST = 0.15
_ENOUGH = 5
"""Backtests after which the own errors have their full share."""
_DAY_AHEAD = 0.7
"""Share of the errors a day ahead in own quantiles, and in the size of errors."""
_HALF_LIFE = 40
"""Values after which an error a day ahead counts half as much."""
_AFTER_CHOICE = 1.08
"""Models err by more later than in the backtests that weighed them."""
_WITHOUT_TEST = 1.25
"""How much more a forecast errs than the mean of four weeks a day ahead, without a test."""
_UNKNOWN = 0.5
"""Size of errors as a share of the level, where one value is all that is known."""
_GROWTH = 0.24 / 13
"""By how much errors grow with each step, beside those in the middle of two weeks."""
_RHYTHM = 0.35
"""The power of a day's level that its errors go with."""
_SKEW = 0.15
"""How much longer the tail above is than the one below, where nothing else is known."""
_OFTEN = 0.2
"""Share of zeros from which on the values themselves are half of a quantile."""
_SEEN_HALF_LIFE = 60
"""Values after which a value itself counts half as much."""
_SAME_PHASE = 4.0
"""How much more a value of the same weekday counts than another."""
_FAR = 4.0
"""Times the size that nine of ten errors are below, beyond which one counts as that."""
_LEAST = 0.02
"""The least that one size of errors is beside the other: neither alone says there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """A distribution function: ascending values at their probabilities; empty where unknown."""

    places: Floats
    values: Floats

    def at(self, probability: Floats) -> Floats:
        """The values that are not exceeded with some probabilities."""
        return np.interp(probability, self.places, self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How values lie around a forecast, step by step: its point, width and standardised errors.

    `own` is the share of the own `errors`; `seen` are the values themselves at each step, where
    those are half of a quantile.
    """

    point: Floats
    width: Floats
    size: float
    errors: Distribution
    own: float
    seen: Sequence[Distribution]
    floor: float
    cap: float

    def quantiles(self, probability: Floats | float) -> Floats:
        """Values that are not exceeded with probabilities; these by steps, or one for all."""
        chances = np.broadcast_to(
            np.asarray(probability, dtype=np.float64),
            np.broadcast_shapes(np.shape(probability), self.point.shape),
        )
        made = self.point + self.width * self._offsets(chances)
        for step, seen in enumerate(self.seen):
            chance = chances[..., step]
            values = seen.at(chance)
            middle = (made[..., step] + values) / 2.0
            # A day at the floor that is that likely is the quantile.
            is_low = (values <= self.floor) & (chance < 0.5)
            made[..., step] = np.where(is_low, np.minimum(middle, values), middle)
        return made

    def _offsets(self, chances: Floats) -> Floats:
        tails = _t4(chances) * self.size * np.where(chances > 0.5, 1.0 + _SKEW, 1.0 - _SKEW)
        if not self.own:
            return tails
        own = self.errors.at(chances)
        # Forecasts are the middle: an own median elsewhere would put it outside of its interval.
        own = np.where(chances > 0.5, np.maximum(own, 0.0), np.minimum(own, 0.0))
        own = np.sign(own) * np.minimum(np.abs(own), _LONGEST_TAIL * np.abs(tails))
        return self.own * own + (1.0 - self.own) * tails

    def bounds(self, level: float, *, moved_to: Floats | None = None) -> Bounds:
        """The interval of a level, around where the forecast was moved to, if it was."""
        point = self.point if moved_to is None else moved_to
        moved = point - self.point
        tail = (1.0 - level) / 2.0
        lower = self.quantiles(tail)
        # A day at the floor that was likely before a forecast was moved is likely after it.
        at_floor = (np.minimum(lower, lower + moved) <= self.floor) & (self.floor <= point)
        upper = self.quantiles(np.where(at_floor, 1.0 - _ABOVE_FLOOR * tail, 1.0 - tail)) + moved
        lower = np.where(at_floor, self.floor, lower + moved)
        lower = np.minimum(np.maximum(lower, np.minimum(self.floor, point)), point)
        return lower, np.minimum(np.maximum(upper, point), np.maximum(self.cap, point))

    @property
    def error(self) -> float:
        """The mean absolute error that is expected, over all steps."""
        return float(self.size * self.width.mean()) if len(self.width) else 0.0


def spread(
    values: Floats,
    point: Floats,
    *,
    errors: Floats,
    points: Floats,
    season: int,
    first_step: int = 1,
) -> Spread:
    """The spread of `point`, after backtests with `errors` around `points` (origins by steps).

    `values` are the training series without gaps. `first_step` is how many steps the first one
    of `point` lies after the last value.
    """
    ahead = _day_ahead(values, season)
    ages = np.arange(len(ahead), dtype=np.float64)[::-1]
    recent = np.power(0.5, ages / _HALF_LIFE)
    size_ahead = _mean_size(ahead, recent)
    level = max(_level(point), 1e-300)
    scaled = _standardised(errors, points, level)
    known = ~np.isnan(scaled)
    if known.any():
        size_tested = _size_tested(scaled)
        most = max(size_tested, size_ahead)
        size = max(size_tested, _LEAST * most) ** (1.0 - _DAY_AHEAD) * (
            max(size_ahead, _LEAST * most) ** _DAY_AHEAD
        )
        own = _OWN * min(1.0, len(errors) / _ENOUGH)
    else:
        # A value or two say nothing of how much the next ones differ.
        size_tested, size = 0.0, _WITHOUT_TEST * size_ahead + level * _UNKNOWN / (1 + len(ahead))
        own = _OWN_WITHOUT_TEST if len(ahead) >= 3 * season else 0.0
    samples: list[Floats] = []
    weights: list[Floats] = []
    if size_tested > 0:
        tested = scaled[known]
        samples.append(tested * (size / size_tested))
        weights.append(np.full(len(tested), (1.0 - _DAY_AHEAD) / len(tested)))
    if size_ahead > 0 and len(ahead):
        samples.append(ahead * (size / size_ahead))
        weights.append(_DAY_AHEAD * recent / recent.sum())
    errors_seen = _distribution(samples, weights)
    trend = _TREND * _trend(values, season) * level
    wider = np.sqrt(1.0 + (trend / size) ** 2) if size > 0 else 1.0
    steps = np.arange(first_step, first_step + len(point), dtype=np.float64)
    late = np.sqrt(1.0 + (first_step - 1) / 14.0)
    return Spread(
        point=point,
        width=_AFTER_CHOICE * wider * _growth(steps) * late * _relative(point),
        size=size,
        errors=errors_seen,
        own=own if len(errors_seen.places) else 0.0,
        seen=_seen(values, season, first_step, len(point)),
        floor=lowest_of(values),
        cap=CAP * float(np.abs(values).max(initial=0.0)),
    )


def _trend(values: Floats, season: int) -> float:
    """How much a steady trend of the last seasons adds in one, as a share; nothing without one."""
    seasons = min(_TREND_SEASONS, len(values) // season)
    if seasons < 5:
        return 0.0
    sums = values[-seasons * season :].reshape(seasons, season).sum(axis=1)
    if not (sums > 0).all():
        return 0.0
    places = np.arange(seasons) - (seasons - 1) / 2.0
    logs = np.log(sums) - np.log(sums).mean()
    slope = float((places * logs).sum() / (places * places).sum())
    # A line that explains little of the change is no trend.
    explained = slope * float((places * logs).sum()) / max(float((logs * logs).sum()), 1e-12)
    return explained * abs(slope)


def _seen(values: Floats, season: int, first_step: int, steps: int) -> tuple[Distribution, ...]:
    """The values at each step ahead, of a series that is often zero; nothing of others."""
    if len(values) < 2 * season or not (values == 0).mean() >= _OFTEN:
        return ()
    ages = np.arange(len(values), dtype=np.float64)[::-1]
    recent = np.power(0.5, ages / _SEEN_HALF_LIFE)
    found: list[Distribution] = []
    for ahead in range(first_step, first_step + min(steps, season)):
        same = (ages + ahead) % season == 0
        found.append(_distribution([values], [recent * np.where(same, _SAME_PHASE, 1.0)]))
    return tuple(found[step % season] for step in range(steps))


def _t4(probability: Floats) -> Floats:
    """Quantiles of the t distribution of 4 degrees of freedom; its mean absolute value is 1."""
    inner = np.clip(probability, 1e-6, 1.0 - 1e-6)
    root = np.sqrt(4.0 * inner * (1.0 - inner))
    turned = np.cos(np.arccos(np.minimum(root, 1.0)) / 3.0) / root
    return np.sign(inner - 0.5) * 2.0 * np.sqrt(np.maximum(turned - 1.0, 0.0))


def _day_ahead(values: Floats, season: int) -> Floats:
    """Errors of the mean of up to four seasons before, each as large as those of a known mean."""
    if len(values) <= season:
        return np.diff(values)
    earlier = np.full((4, len(values)), np.nan)
    for back in range(1, 5):
        if back * season < len(values):
            earlier[back - 1, back * season :] = values[: -back * season]
    seen = earlier[:, season:]
    counts = (~np.isnan(seen)).sum(axis=0)
    return (values[season:] - np.nanmean(seen, axis=0)) / np.sqrt(1.0 + 1.0 / counts)


def _standardised(errors: Floats, points: Floats, level: float) -> Floats:
    """Errors of backtests as they would be at the level of the forecast, over their widths."""
    if not len(errors):
        return errors
    steps = np.arange(1, errors.shape[1] + 1, dtype=np.float64)
    out = np.empty_like(errors)
    for place, (error, point) in enumerate(zip(errors, points, strict=True)):
        # Half way to the level now, and half of the change: either may be chance.
        then = max((_level(point) + level) / 2.0, 1e-300)
        out[place] = error / (_growth(steps) * _relative(point)) * min(np.sqrt(level / then), 2.0)
    return out


def _mean_size(errors: Floats, weights: Floats) -> float:
    """The weighted mean size of errors, where no single one counts as much as all others."""
    if not len(errors):
        return 0.0
    sizes = np.abs(errors)
    mean = float((sizes * weights).sum() / weights.sum())
    most = max(_FAR * float(np.quantile(sizes, 0.9)), mean / 10.0)
    return float((np.minimum(sizes, most) * weights).sum() / weights.sum())


def _size_tested(scaled: Floats) -> float:
    """The mean size of errors, a later origin counting more than an earlier one."""
    weights = np.power(0.5, np.arange(len(scaled)) / 4.0)[:, np.newaxis] * np.ones(scaled.shape)
    known = ~np.isnan(scaled)
    return _mean_size(scaled[known], weights[known])


def _growth(steps: Floats) -> Floats:
    return 1.0 + _GROWTH * (steps - 7.5)


def _level(point: Floats) -> float:
    return float(np.abs(point).mean()) if len(point) else 0.0


def _relative(point: Floats) -> Floats:
    """How the errors of each step go with its level beside that of all steps."""
    mean = _level(point)
    if not mean > 0:
        return np.ones(len(point))
    return np.power((np.abs(point) / mean + 0.1) / 1.1, _RHYTHM)


def _distribution(samples: Sequence[Floats], weights: Sequence[Floats]) -> Distribution:
    if not samples:
        return Distribution(places=np.empty(0), values=np.empty(0))
    values, shares = np.concatenate(samples), np.concatenate(weights)
    order = np.argsort(values, kind="stable")
    shares = shares[order] / shares.sum()
    return Distribution(places=np.cumsum(shares) - shares / 2.0, values=values[order])
