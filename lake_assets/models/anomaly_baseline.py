"""What is usual for an agent's metric on a day, and how far off the day is.

Belongs here: the baseline from earlier days, its noise, scores, the range that is no alarm.
Does not belong here: what becomes of scores (`anomaly_alarms`).

Every day of the window is scored with what was known before it, oldest first:

1. **Expected.** Amounts and geometric means: level, trend and weekday on the logarithm, by
   regression with weights that halve every `HALF_LIFE_D` days and Tukey's bisquare against
   outliers. Weekdays are shrunk towards those of the median agent, and those towards none, so
   that a new agent has a rhythm after a week. Rates: a share with the same weights, shrunk
   towards that of all agents.
2. **Noise.** On a scale where chance alone gives a standard deviation of 1: twice the square root
   of an amount counted in its usual rows (Anscombe), twice the arcsine of the root of a rate times
   the root of its trials, a log mean over its standard error. Real days vary more: residuals are
   divided by their own robust spread (of median and 80 % quantile the larger), shrunk towards that
   of all agents, never below 1. It is taken from forecasts of days that were unknown when they
   were forecast, so that it has the errors of the baseline in it.
3. **Score.** Student's t with as many degrees of freedom as residuals stand behind the spread,
   told as the standard deviations of a normal distribution with the same tail.
4. **Memory.** A flagged day is left out of later baselines; after `NEW_NORMAL_D` flagged days in a
   row the new level is taken for what is usual, and what lies before it is left out instead.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lake_assets.models.anomaly_measures import Kind, Measure
from lake_assets.models.series import Flags, Floats

HALF_LIFE_D = 14.0
LEAST_DAYS = 7
SCORED_DAYS = 42
"""Days that are scored for their residuals and streaks; the ones before only inform baselines."""
NEW_NORMAL_D = 10
THRESHOLD = 4.0
"""Scores from here on are alarms: 1 in 16,000 by chance, if chance were normal."""
FLEET_RESIDUALS = 8.0
"""Residuals that the spread of all agents counts for beside an agent's own."""

_MOST_Z = 37.0
_WEEKDAY_SHRINK = 1.0
_FLEET_WEEKDAY_SHRINK = 0.3
_TREND_SHRINK = 3.0
_RATE_PRIOR_TRIALS = 20.0

_LEAST_RATIO = {Kind.AMOUNT: 1.3, Kind.TYPICAL: 1.15}
"""Changes below it are no alarm, however certain."""
_LEAST_RATE_RISE = 0.05
_LEAST_HITS = 3.0
_LEAST_ROWS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Scores of a measure: agents by days; NaN where a day was not scored."""

    expected: Floats
    z: Floats
    lower: Floats
    upper: Floats
    flagged: Flags
    baseline_days: Floats


def score(measure: Measure) -> Scores:
    """Score every agent on every day with what was known before it."""
    return _Scoring(measure).run()


class _Scoring:
    """The state of going through the days of one measure."""

    def __init__(self, measure: Measure) -> None:
        self._measure = measure
        shape = measure.values.shape
        self._scale = _SCALES[measure.kind](measure)
        seen = np.cumsum(np.nan_to_num(measure.trials) > 0, axis=1) > 0
        self._valid = seen & measure.present & ~np.isnan(measure.values)
        self._left_out = np.zeros(shape, dtype=np.bool_)
        self._residual = np.full(shape, np.nan)
        self._streak = np.zeros(shape[0], dtype=np.int64)
        self._side = np.zeros(shape[0])

    def run(self) -> Scores:
        """Go through the days."""
        shape = self._measure.values.shape
        out = Scores(
            expected=np.full(shape, np.nan),
            z=np.full(shape, np.nan),
            lower=np.full(shape, np.nan),
            upper=np.full(shape, np.nan),
            flagged=np.zeros(shape, dtype=np.bool_),
            baseline_days=np.zeros(shape),
        )
        for day in range(max(1, shape[1] - SCORED_DAYS), shape[1]):
            if self._measure.present[day] and shape[0]:
                self._score_day(day, out)
        return out

    def _score_day(self, day: int, out: Scores) -> None:
        usable = self._valid[:, :day] & ~self._left_out[:, :day]
        days = usable.sum(axis=1)
        ages = day - np.arange(day)
        expected = self._scale.expected(day, usable * 0.5 ** (ages / HALF_LIFE_D))
        residual = self._scale.residual(day, expected)
        ready = self._valid[:, day] & (days >= LEAST_DAYS)
        spread, degrees = _spread(self._residual[:, :day])
        z = _as_normal(residual / spread, degrees)
        low, high = self._scale.bounds(day, expected, spread * _t_quantile(THRESHOLD, degrees))
        matters = self._scale.matters(day, expected)
        flagged = ready & (np.abs(z) >= THRESHOLD) & matters
        out.expected[ready, day] = self._scale.told(expected)[ready]
        out.z[ready, day] = z[ready]
        out.lower[ready, day] = low[ready]
        out.upper[ready, day] = high[ready]
        out.flagged[:, day] = flagged
        out.baseline_days[:, day] = days
        usual = self._valid[:, day] & (days >= 3)
        # A flagged day says little of ordinary noise, but that noise may be larger than thought.
        kept = np.where(flagged, np.clip(residual, -2.0 * spread, 2.0 * spread), residual)
        self._residual[usual, day] = kept[usual]
        self._remember(day, flagged, np.sign(residual))

    def _remember(self, day: int, flagged: Flags, side: Floats) -> None:
        self._left_out[flagged, day] = True
        lasts = flagged & ((self._side == side) | (self._streak == 0))
        self._streak = np.where(lasts, self._streak + 1, np.where(flagged, 1, 0))
        self._side = np.where(flagged, side, 0.0)
        for agent in np.flatnonzero(self._streak >= NEW_NORMAL_D):
            start = day + 1 - NEW_NORMAL_D
            self._left_out[agent, :start] = True
            self._left_out[agent, start : day + 1] = False
            self._streak[agent] = 0


def _spread(residuals: Floats) -> tuple[Floats, Floats]:
    """The spread of each agent's residuals, never below 1, and its degrees of freedom."""
    counted = (~np.isnan(residuals)).sum(axis=1).astype(np.float64)
    sizes = np.abs(residuals)
    own = np.ones(len(residuals))
    enough = counted >= 3
    if enough.any():
        middle = _row_quantile(sizes[enough], 0.5) / 0.6745
        outer = _row_quantile(sizes[enough], 0.8) / 1.2816
        own[enough] = np.maximum(middle, outer)
    fleet = float(np.median(own[enough])) if enough.any() else 1.5
    weight = np.where(enough, counted, 0.0)
    variance = (weight * own**2 + FLEET_RESIDUALS * fleet**2) / (weight + FLEET_RESIDUALS)
    return np.sqrt(np.maximum(variance, 1.0)), weight + FLEET_RESIDUALS


def _row_quantile(values: Floats, share: float) -> Floats:
    """A quantile of each row without its NaN; every row must have a number."""
    ordered = np.sort(values, axis=1)  # NaN come last
    place = share * ((~np.isnan(ordered)).sum(axis=1) - 1)
    below = np.floor(place).astype(np.int64)
    above = np.ceil(place).astype(np.int64)
    rows = np.arange(len(ordered))
    first = ordered[rows, below]
    return first + (place - below) * (ordered[rows, above] - first)


def _special() -> Any:
    return importlib.import_module("scipy.special")


def _as_normal(t: Floats, degrees: Floats) -> Floats:
    special = _special()
    tail = np.maximum(special.stdtr(degrees, -np.abs(t)), 1e-299)
    return np.sign(t) * np.minimum(-special.ndtri(tail), _MOST_Z)


def _t_quantile(z: float, degrees: Floats) -> Floats:
    special = _special()
    return -special.stdtrit(degrees, float(special.ndtr(-z)))


class _LogScale:
    """Amounts and geometric means: regression on the logarithm."""

    def __init__(self, measure: Measure) -> None:
        self._amount = measure.kind is Kind.AMOUNT
        self._values = measure.values
        self._spread = np.maximum(measure.spread, 0.05)
        self._trials = measure.trials
        self._kind = measure.kind
        with np.errstate(invalid="ignore", divide="ignore"):
            each = np.where(measure.trials > 0, measure.values / measure.trials, np.nan)
        each = np.where(each > 0, each, np.nan)
        has = ~np.isnan(each).all(axis=1)
        self._unit = np.ones(len(each))
        if has.any():
            self._unit[has] = np.nanmedian(each[has], axis=1)
        counted = measure.values / self._unit[:, np.newaxis]
        with np.errstate(invalid="ignore", divide="ignore"):
            self._logs = np.log(counted + 0.5 if self._amount else measure.values)
        self._logs = np.where(np.isfinite(self._logs), self._logs, np.nan)

    def expected(self, day: int, weights: Floats) -> Floats:
        logs = self._logs[:, :day]
        fleet = _fleet_rhythm(logs, weights, day)
        return _regressed(logs, weights, day, fleet)

    def residual(self, day: int, expected: Floats) -> Floats:
        if self._amount:
            counted = self._values[:, day] / self._unit
            return 2.0 * (np.sqrt(np.nan_to_num(counted) + 0.375) - self._root(expected))
        error = self._spread / np.sqrt(np.maximum(self._trials[:, day], 1.0))
        return np.nan_to_num(self._logs[:, day] - expected) / error

    def bounds(self, day: int, expected: Floats, half: Floats) -> tuple[Floats, Floats]:
        if self._amount:
            root = self._root(expected)
            low = np.maximum(root - half / 2.0, np.sqrt(0.375)) ** 2 - 0.375
            high = (root + half / 2.0) ** 2 - 0.375
            return low * self._unit, high * self._unit
        error = half * self._spread / np.sqrt(np.maximum(self._trials[:, day], 1.0))
        return np.exp(expected - error), np.exp(np.minimum(expected + error, 700.0))

    def told(self, expected: Floats) -> Floats:
        return self._count(expected) * self._unit if self._amount else np.exp(expected)

    def matters(self, day: int, expected: Floats) -> Flags:
        least = _LEAST_RATIO[self._kind]
        told = self.told(expected)
        value = np.nan_to_num(self._values[:, day])
        far = (value >= told * least) | (value <= told / least)
        if self._amount:
            return far & (np.abs(value - told) >= _LEAST_ROWS * self._unit)
        return far & (self._trials[:, day] >= _LEAST_ROWS)

    def _count(self, expected: Floats) -> Floats:
        return np.maximum(np.exp(np.minimum(expected, 700.0)) - 0.5, 0.0)

    def _root(self, expected: Floats) -> Floats:
        return np.sqrt(self._count(expected) + 0.375)


def _design(day: int, last: int) -> Floats:
    """Level, trend per four weeks and weekday for the days before `last`, or for `day` alone."""
    at = np.arange(last) if last else np.array([day])
    columns = [np.ones(len(at)), (at - day) / 28.0]
    columns += [(at % 7 == weekday).astype(np.float64) for weekday in range(7)]
    return np.stack(columns, axis=1)


def _fleet_rhythm(logs: Floats, weights: Floats, day: int) -> Floats:
    """The weekday effects of the median agent."""
    used = np.where(weights > 0, logs, np.nan)
    known_agents = (~np.isnan(used)).sum(axis=1) >= 3
    if not known_agents.any():
        return np.zeros(7)
    used = used[known_agents]
    centred = used - _row_quantile(used, 0.5)[:, np.newaxis]
    has = ~np.isnan(centred).all(axis=0)
    middle = np.zeros(day)
    middle[has] = _row_quantile(centred[:, has].T, 0.5)
    decay = np.where(has, 0.5 ** ((day - np.arange(day)) / HALF_LIFE_D), 0.0)
    beta = _solve(
        middle[np.newaxis], decay[np.newaxis], day, np.zeros(7), shrink=_FLEET_WEEKDAY_SHRINK
    )
    return beta[0, 2:]


def _regressed(logs: Floats, weights: Floats, day: int, fleet: Floats) -> Floats:
    """The expected logarithm of each agent on `day`."""
    usable = weights * ~np.isnan(logs)
    beta = _solve(np.nan_to_num(logs), usable, day, fleet, shrink=_WEEKDAY_SHRINK)
    return beta @ _design(day, 0)[0]


def _solve(targets: Floats, weights: Floats, day: int, rhythm: Floats, *, shrink: float) -> Floats:
    """Robust ridge regression of every row; weekday effects are shrunk towards `rhythm`."""
    design = _design(day, day)
    prior = np.concatenate((np.zeros(2), rhythm))
    penalty = np.diag([1e-9, _TREND_SHRINK, *([shrink] * 7)])
    targets = targets - design @ prior
    robust = np.ones_like(targets)
    beta = np.zeros((len(targets), design.shape[1]))
    for _ in range(3):
        each = weights * robust
        normal = np.einsum("ti,st,tj->sij", design, each, design, optimize=True) + penalty
        moment = np.einsum("ti,st,st->si", design, each, targets, optimize=True)
        beta = np.linalg.solve(normal, moment[..., np.newaxis])[..., 0]
        off = np.abs(targets - beta @ design.T)
        used = np.where(weights > 0, off, np.nan)
        spread = np.ones(len(targets))
        has = (weights > 0).any(axis=1)
        spread[has] = _row_quantile(used[has], 0.5) / 0.6745
        reach = 4.7 * np.maximum(spread, 0.02)[:, np.newaxis]
        robust = np.square(np.clip(1.0 - np.square(off / reach), 0.0, 1.0))
    return beta + prior


class _RateScale:
    """Shares of trials; only more of them than usual is an alarm."""

    def __init__(self, measure: Measure) -> None:
        self._rates = np.nan_to_num(measure.values)
        self._trials = measure.trials

    def expected(self, day: int, weights: Floats) -> Floats:
        trials = self._trials[:, :day] * weights
        hits = self._rates[:, :day] * trials
        tried = trials.sum(axis=1)
        everyone = (hits.sum() + 0.5) / (trials.sum() + 10.0)
        prior = _RATE_PRIOR_TRIALS
        return (hits.sum(axis=1) + prior * everyone) / (tried + prior)

    def residual(self, day: int, expected: Floats) -> Floats:
        return (self._angle(day, self._rates[:, day]) - self._angle(day, expected)) * self._root(
            day
        )

    def bounds(self, day: int, expected: Floats, half: Floats) -> tuple[Floats, Floats]:
        trials = self._trials[:, day]
        angle = self._angle(day, expected) + half / self._root(day)
        share = np.square(np.sin(np.minimum(angle, np.pi / 2)))
        return np.zeros(len(expected)), np.clip(
            (share * (trials + 0.75) - 0.375) / np.maximum(trials, 1.0), expected, 1.0
        )

    def told(self, expected: Floats) -> Floats:
        return expected

    def matters(self, day: int, expected: Floats) -> Flags:
        rise = self._rates[:, day] - expected
        hits = self._rates[:, day] * self._trials[:, day]
        return (rise >= _LEAST_RATE_RISE) & (hits >= _LEAST_HITS)

    def _angle(self, day: int, rate: Floats) -> Floats:
        trials = self._trials[:, day]
        return np.arcsin(np.sqrt((rate * trials + 0.375) / (trials + 0.75)))

    def _root(self, day: int) -> Floats:
        return 2.0 * np.sqrt(self._trials[:, day] + 0.5)


_SCALES: dict[Kind, Callable[[Measure], _LogScale | _RateScale]] = {
    Kind.AMOUNT: _LogScale,
    Kind.TYPICAL: _LogScale,
    Kind.RATE: _RateScale,
}
