"""What a metric is expected to be on the next days, and how far off it is, on a scale of its own.

Belongs here: expectations from earlier days, residuals in standard deviations of pure chance.
Does not belong here: how much more days vary than chance, what is unusual (`anomaly_baseline`).

Amounts and geometric means: level, trend and weekday on the logarithm, by regression with weights
that halve every `HALF_LIFE_D` days and Tukey's bisquare against outliers. Weekdays are shrunk
towards those of the median agent, and those towards none, so that a new agent has a rhythm after a
week. Rates: a share with the same weights, shrunk towards that of all agents.

Residuals have a standard deviation of 1 by chance alone: twice the square root of an amount counted
in its usual rows (Anscombe), twice the arcsine of the root of a rate times the root of its trials,
a log mean over its standard error.

An agent that is idle on many days, in no weekly rhythm, is intermittent: its idle days say nothing
of its level, and are judged by how long they go on.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from lake_assets.models.anomaly_measures import Kind, Measure
from lake_assets.models.anomaly_regression import design, fleet_rhythm, solve
from lake_assets.models.series import Flags, Floats

_WEEKDAY_SHRINK = 1.0
_RATE_PRIOR_TRIALS = 20.0
_LONGEST_RHYTHM_D = 3
"""Days that the weekdays of all agents are used for before they are computed again."""
_MOST_LOG = 700.0
_LEAST_IDLE = 0.1
_LEAST_BUSY_ROWS = 3.0
_MOST_FLEET_ROWS = 50.0
"""Rows from which on an agent counts no more than others for the ratio of all."""

_LEAST_RATIO = {Kind.AMOUNT: 1.3, Kind.TYPICAL: 1.15}
"""Changes of a day below it are no alarm, however certain."""
_LEAST_LASTING_RATIO = {Kind.AMOUNT: 1.2, Kind.TYPICAL: 1.12}
_LEAST_FLEET_RATIO = {Kind.AMOUNT: 1.25, Kind.TYPICAL: 1.12}
_LEAST_ROWS = 5.0
_LEAST_RISE, _LEAST_TIMES, _LEAST_HITS = 0.02, 1.5, 4.0


class Scale(Protocol):
    """A measure's expectations and residuals; arrays are agents by days from `day` on."""

    def expected(self, day: int, weights: Floats, ahead: int) -> tuple[Floats, Floats]:
        """What is expected of `day` and the days after it, and how unsure that is of `day`.

        The latter is a variance, in those of one day's noise.
        """
        ...

    def residual(self, day: int, expected: Floats) -> Floats:
        """How far the days from `day` on are off, in standard deviations of chance."""
        ...

    def bounds(
        self, day: int, expected: Floats, reach: tuple[Floats, Floats]
    ) -> tuple[Floats, Floats]:
        """The values of `day` that are so far below and above, in standard deviations."""
        ...

    def told(self, expected: Floats) -> Floats:
        """An expectation in the metric's unit."""
        ...

    def matters(self, day: int, expected: Floats) -> Flags:
        """Whether the change of one day is large enough to be told."""
        ...

    def lasting_matters(self, days: slice, expected: Floats, used: Flags) -> Flags:
        """Whether the change over some days is large enough to be told."""
        ...

    def intermittent(self, usable: Flags) -> Flags:
        """Whether an agent is idle on days that its level and its weekdays don't explain.

        `usable` are the days that its baseline is made of, up to the day before.
        """
        ...

    def idle(self, usable: Flags) -> Floats:
        """For intermittent agents that are idle on the day, the log chance to be; else NaN."""
        ...

    def together(self, day: int, expected: Floats, used: Flags) -> tuple[float, float, float]:
        """Of all agents: the value, the expectation, and the ratio that most of them share."""
        ...

    def shifted(self, expected: Floats, ratio: float) -> Floats:
        """The expectation where all agents have changed by a ratio."""
        ...

    def shared_matters(self, expected: float, ratio: float) -> bool:
        """Whether a change of all agents is large enough to be told."""
        ...


class _LogScale:
    """Amounts and geometric means: regression on the logarithm."""

    def __init__(self, measure: Measure) -> None:
        self._amount = measure.kind is Kind.AMOUNT
        self._kind = measure.kind
        self._values = measure.values
        self._trials = np.nan_to_num(measure.trials)
        self._error = np.maximum(measure.spread, 0.05)[:, np.newaxis] / np.sqrt(
            np.maximum(self._trials, 1.0)
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            each = np.where(self._trials > 0, measure.values / self._trials, np.nan)
        each = np.where(each > 0, each, np.nan)
        has = ~np.isnan(each).all(axis=1)
        self._unit = np.ones(len(each))
        if has.any():
            self._unit[has] = np.nanmedian(each[has], axis=1)
        # A credit is no amount of rows: it counts as nothing.
        counted = np.maximum(measure.values / self._unit[:, np.newaxis], 0.0)
        self._counted = np.nan_to_num(counted)
        with np.errstate(invalid="ignore", divide="ignore"):
            self._logs = np.log(counted + 0.5 if self._amount else measure.values)
        self._logs = np.where(np.isfinite(self._logs), self._logs, np.nan)
        self._zero = self._amount & (self._counted < 0.5)
        self._intermittent: dict[int, Flags] = {}
        """Of the day last judged: three steps of a day ask for it."""
        self._rhythm = np.zeros(7)
        self._rhythm_day = -_LONGEST_RHYTHM_D

    def expected(self, day: int, weights: Floats, ahead: int) -> tuple[Floats, Floats]:
        logs = self._logs[:, :day]
        used = weights * ~np.isnan(logs)
        if self._amount:
            idle = self.intermittent(weights > 0)
            used = np.where(idle[:, np.newaxis] & self._zero[:, :day], 0.0, used)
        if day - self._rhythm_day >= _LONGEST_RHYTHM_D:
            self._rhythm = fleet_rhythm(logs, used, day)
            self._rhythm_day = day
        beta, unsure = solve(np.nan_to_num(logs), used, day, self._rhythm, shrink=_WEEKDAY_SHRINK)
        path = beta @ design(day, np.arange(day, day + ahead)).T
        return np.clip(path, -_MOST_LOG, _MOST_LOG), unsure

    def residual(self, day: int, expected: Floats) -> Floats:
        days = slice(day, day + expected.shape[1])
        if self._amount:
            return 2.0 * (np.sqrt(self._counted[:, days] + 0.375) - self._root(expected))
        return np.nan_to_num(self._logs[:, days] - expected) / self._error[:, days]

    def bounds(
        self, day: int, expected: Floats, reach: tuple[Floats, Floats]
    ) -> tuple[Floats, Floats]:
        least = _LEAST_RATIO[self._kind]
        told = self.told(expected)
        if self._amount:
            root = self._root(expected)
            low = (np.maximum(root - reach[0] / 2.0, np.sqrt(0.375)) ** 2 - 0.375) * self._unit
            high = ((root + reach[1] / 2.0) ** 2 - 0.375) * self._unit
        else:
            error = self._error[:, day]
            low = np.exp(expected - reach[0] * error)
            high = np.exp(np.minimum(expected + reach[1] * error, _MOST_LOG))
        return np.maximum(np.minimum(low, told / least), 0.0), np.maximum(high, told * least)

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

    def lasting_matters(self, days: slice, expected: Floats, used: Flags) -> Flags:
        least = _LEAST_LASTING_RATIO[self._kind]
        if self._amount:
            came = np.where(used, self._counted[:, days], 0.0).sum(axis=1)
            due = np.where(used, self._count(expected), 0.0).sum(axis=1)
            large = np.abs(came - due) >= 2 * _LEAST_ROWS
            mean = np.log(np.maximum(came, 0.5) / np.maximum(due, 0.5))
            last = self._counted[:, days.stop - 1] / np.maximum(self._count(expected[:, -1]), 1e-9)
            last = np.log(np.maximum(last, 1e-9))
        else:
            off = np.where(used, np.nan_to_num(self._logs[:, days] - expected), 0.0)
            mean = off.sum(axis=1) / np.maximum(used.sum(axis=1), 1)
            large, last = np.ones(len(mean), dtype=np.bool_), off[:, -1]
        # What has gone back to where it was is over.
        goes_on = last * np.sign(mean) >= np.log(least) / 2
        return large & goes_on & (np.abs(mean) >= np.log(least))

    def idle(self, usable: Flags) -> Floats:
        out = np.full(len(self._values), np.nan)
        if not self._amount:
            return out
        day = usable.shape[1]
        for row in np.flatnonzero(self.intermittent(usable) & self._zero[:, day]):
            out[row] = self._idle_tail(int(row), day, usable[row])
        return out

    def _idle_tail(self, row: int, day: int, usable: Flags) -> float:
        """The logarithm of the chance to be idle for so long, by what was usual before."""
        begin = day
        while begin > 0 and self._zero[row, begin - 1]:
            begin -= 1
        before = usable[:begin]
        weekday = np.arange(begin) % 7
        busy = before & ~self._zero[row, :begin]
        overall = busy.sum() / max(before.sum(), 1)
        chance = 0.0
        for at in range(begin, day + 1):
            same = before & (weekday == at % 7)
            share = (busy[same].sum() + 2.0 * overall) / (same.sum() + 2.0)
            chance += float(np.log1p(-min(share, 0.99)))
        return chance

    def intermittent(self, usable: Flags) -> Flags:
        if not self._amount:
            return np.zeros(len(usable), dtype=np.bool_)
        day = usable.shape[1]
        if day not in self._intermittent:
            self._intermittent = {day: self._comes_and_goes(day, usable)}
        return self._intermittent[day]

    def _comes_and_goes(self, day: int, usable: Flags) -> Flags:
        zero = self._zero[:, :day] & usable
        busy = usable & ~self._zero[:, :day]
        odd = np.zeros(len(zero))
        for weekday in range(7):
            idle = zero[:, weekday::7].sum(axis=1)
            odd += np.minimum(idle, busy[:, weekday::7].sum(axis=1))
        level = np.where(busy, self._counted[:, :day], 0.0).sum(axis=1) / np.maximum(
            busy.sum(axis=1), 1
        )
        return (odd >= _LEAST_IDLE * usable.sum(axis=1)) & (odd >= 3) & (level >= _LEAST_BUSY_ROWS)

    def together(self, day: int, expected: Floats, used: Flags) -> tuple[float, float, float]:
        told = self.told(expected)[used]
        value = np.nan_to_num(self._values[used, day])
        if self._amount:
            due = np.maximum(self._count(expected)[used], 1e-9)
            off = self._counted[used, day] / due
            ratio = _weighted_median(off, np.minimum(due, _MOST_FLEET_ROWS))
            return float(value.sum()), float(told.sum()), max(ratio, 1e-3)
        weights = np.minimum(self._trials[used, day], _MOST_FLEET_ROWS)
        ratio = float(np.exp(_weighted_median(self._logs[used, day] - expected[used], weights)))
        middle = float(np.exp(np.average(expected[used], weights=weights)))
        return middle * ratio, middle, ratio

    def shifted(self, expected: Floats, ratio: float) -> Floats:
        if self._amount:
            return np.log(self._count(expected) * ratio + 0.5)
        return expected + np.log(ratio)

    def shared_matters(self, expected: float, ratio: float) -> bool:
        least = _LEAST_FLEET_RATIO[self._kind]
        return expected > 0 and not 1 / least < ratio < least

    def _count(self, expected: Floats) -> Floats:
        return np.maximum(np.exp(np.minimum(expected, _MOST_LOG)) - 0.5, 0.0)

    def _root(self, expected: Floats) -> Floats:
        return np.sqrt(self._count(expected) + 0.375)


class _RateScale:
    """Shares of trials; only more of them than usual is an alarm."""

    def __init__(self, measure: Measure) -> None:
        self._rates = np.clip(np.nan_to_num(measure.values), 0.0, 1.0)
        self._trials = np.nan_to_num(measure.trials)
        self._hits = self._rates * self._trials

    def expected(self, day: int, weights: Floats, ahead: int) -> tuple[Floats, Floats]:
        tried = (self._trials[:, :day] * weights).sum(axis=1)
        hits = (self._hits[:, :day] * weights).sum(axis=1)
        everyone = (hits.sum() + 0.5) / (tried.sum() + 10.0)
        prior = _RATE_PRIOR_TRIALS
        share = (hits + prior * everyone) / (tried + prior)
        return np.repeat(share[:, np.newaxis], ahead, axis=1), np.zeros(len(share))

    def residual(self, day: int, expected: Floats) -> Floats:
        days = slice(day, day + expected.shape[1])
        trials = self._trials[:, days]
        off = _angle(self._rates[:, days], trials) - _angle(expected, trials)
        return off * 2.0 * np.sqrt(trials + 0.5)

    def bounds(
        self, day: int, expected: Floats, reach: tuple[Floats, Floats]
    ) -> tuple[Floats, Floats]:
        trials = self._trials[:, day]
        angle = _angle(expected, trials) + reach[1] / (2.0 * np.sqrt(trials + 0.5))
        share = np.square(np.sin(np.minimum(angle, np.pi / 2)))
        share = (share * (trials + 0.75) - 0.375) / np.maximum(trials, 1.0)
        least = np.maximum(expected + _LEAST_RISE, expected * _LEAST_TIMES)
        return np.zeros(len(expected)), np.clip(np.maximum(share, least), expected, 1.0)

    def told(self, expected: Floats) -> Floats:
        return expected

    def matters(self, day: int, expected: Floats) -> Flags:
        return self._is_more(self._hits[:, day], self._trials[:, day], expected)

    def lasting_matters(self, days: slice, expected: Floats, used: Flags) -> Flags:
        tried = np.where(used, self._trials[:, days], 0.0).sum(axis=1)
        hits = np.where(used, self._hits[:, days], 0.0).sum(axis=1)
        return self._is_more(hits, tried, expected[:, 0])

    def _is_more(self, hits: Floats, tried: Floats, expected: Floats) -> Flags:
        rate = hits / np.maximum(tried, 1.0)
        rises = (rate >= expected + _LEAST_RISE) & (rate >= expected * _LEAST_TIMES)
        return rises & (hits >= _LEAST_HITS)

    def intermittent(self, usable: Flags) -> Flags:
        return np.zeros(len(usable), dtype=np.bool_)

    def idle(self, usable: Flags) -> Floats:
        return np.full(len(usable), np.nan)

    def together(self, day: int, expected: Floats, used: Flags) -> tuple[float, float, float]:
        tried = self._trials[used, day]
        total = max(float(tried.sum()), 1.0)
        share = float(self._hits[used, day].sum()) / total
        due = float((expected[used] * tried).sum()) / total
        weights = np.minimum(tried, _MOST_FLEET_ROWS)
        came = float((self._rates[used, day] * weights).sum())
        usual = float((expected[used] * weights).sum())
        return share, due, came / usual if usual > 0 else 1.0

    def shifted(self, expected: Floats, ratio: float) -> Floats:
        return np.clip(expected * ratio, 0.0, 1.0)

    def shared_matters(self, expected: float, ratio: float) -> bool:
        return ratio >= _LEAST_TIMES and expected * (ratio - 1) >= _LEAST_RISE / 2


SCALES: dict[Kind, Callable[[Measure], Scale]] = {
    Kind.AMOUNT: _LogScale,
    Kind.TYPICAL: _LogScale,
    Kind.RATE: _RateScale,
}


def _angle(rate: Floats, trials: Floats) -> Floats:
    return np.arcsin(np.sqrt((rate * trials + 0.375) / (trials + 0.75)))


def _weighted_median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values, kind="stable")
    heaped = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(heaped, heaped[-1] / 2)]])
