"""How far off an agent's metric is on a day, by three tests, with what was known before.

Belongs here: noise, scores, the range that is no alarm, what later baselines leave out.
Does not belong here: expectations (`anomaly_scales`), what becomes of scores (`anomaly_alarms`).

Every day of the window is scored with what was known before it, oldest first:

1. **Noise.** Real days vary more than chance: residuals are divided by their own robust spread (of
   median and 80 % quantile the larger), shrunk towards that of all agents. It is below 1 only where
   an agent's own days prove to vary less than chance. It is taken from forecasts of days that were
   unknown when they were forecast, so that it has the errors of the baseline in it.
2. **The day.** Student's t with as many degrees of freedom as residuals stand behind the spread,
   told as the standard deviations of a normal distribution with the same tail.
3. **A lasting change.** Residuals of the last `LASTING_D` days against the baseline of before them,
   each clipped so that no single day is a lasting change, added up, over the usual size of that
   sum. What is slow or small for one day shows here.
4. **All agents.** The mean of all agents' residuals, clipped likewise, over its usual size. Agents
   that are off no more than the others are part of that one change.
5. **Memory.** A flagged day is left out of later baselines; after `NEW_NORMAL_D` flagged days in a
   row, or three flagged weeks of the same weekday, the new level is taken for what is usual.
"""

from dataclasses import dataclass, field

import numpy as np

from lake_assets.models.anomaly_measures import Kind, Measure
from lake_assets.models.anomaly_noise import (
    MOST_Z,
    as_normal,
    common_spread,
    special,
    spread_of,
    sum_spread,
    t_quantile,
)
from lake_assets.models.anomaly_regression import HALF_LIFE_D, TRUSTED
from lake_assets.models.anomaly_scales import SCALES
from lake_assets.models.anomaly_thresholds import FLEET, LEAST_FLEET, THRESHOLDS
from lake_assets.models.series import Flags, Floats

LEAST_DAYS = 7
SCORED_DAYS = 42
"""Days that are scored for their residuals and streaks; the ones before only inform baselines."""
NEW_NORMAL_D = 10
LASTING_D = (3, 7, 14)

_WEEK_D = 7
_CLIP = 2.5
_MOST_DOUBT = 9.0
_FLEET_CLIP = 3.0
_SAME_SIDE = 0.7
_STILL_OFF = 0.75
_SHARING = {Kind.AMOUNT: 0.6, Kind.TYPICAL: 0.6, Kind.RATE: 0.35}
"""Share of agents that are off to one side where the change is that of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """All agents on one day: what came, what was expected, the score of what they share."""

    observed: float
    expected: float
    lower: float
    upper: float
    z: float
    agents: int
    flagged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Scores of a measure: agents by days; NaN where a day was not scored.

    `lower` and `upper` are of the last day alone.
    """

    expected: Floats
    z: Floats
    lower: Floats
    upper: Floats
    flagged: Flags
    baseline_days: Floats
    lasts: Floats
    """Days of the lasting change that is flagged, 0 where the day itself is."""
    day_score: Floats
    """Of the day, where the change is large enough to be told; else 0."""
    lasting_score: Floats
    """Of the days up to it, likewise."""
    is_shared: Flags
    """Flagged, and off no more than all agents are."""
    is_idle: Flags
    """An intermittent agent that does nothing, as it often does."""
    shared: dict[int, Shared] = field(default_factory=dict[int, Shared])
    """By day, where there are enough agents."""


def score(measure: Measure, *, scored_days: int = SCORED_DAYS) -> Scores:
    """Score every agent on each of the last days with what was known before it."""
    # Numbers that are near the largest there are overflow to infinity, which is clipped.
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        return _Scoring(measure).run(scored_days)


@dataclass(slots=True, kw_only=True)
class _Day:
    """What is known of a day while it is scored; arrays have a place per agent."""

    day: int
    ready: Flags
    expected: Floats
    residual: Floats
    spread: Floats
    degrees: Floats
    z: Floats


class _Scoring:
    """The state of going through the days of one measure."""

    def __init__(self, measure: Measure) -> None:
        self._measure = measure
        self._limits = THRESHOLDS[measure.metric]
        shape = measure.values.shape
        self._scale = SCALES[measure.kind](measure)
        seen = np.cumsum(np.nan_to_num(measure.trials) > 0, axis=1) > 0
        self._valid = seen & measure.present & ~np.isnan(measure.values)
        self._left_out = np.zeros(shape, dtype=np.bool_)
        self._trust = np.ones(shape)
        self._off = np.zeros(shape)
        """Side to which each day is flagged; 0 where it is not."""
        self._residual = np.full(shape, np.nan)
        self._paths: dict[int, tuple[Floats, Floats]] = {}
        """By the day they begin: expectations and clipped residuals of the days after it."""
        self._has_baseline: dict[int, Flags] = {}
        """By the same day: agents of whom enough days before it are known."""
        self._sums = {days: np.full(shape, np.nan) for days in LASTING_D}
        self._common = np.full(shape[1], np.nan)
        self._ratio = np.full(shape[1], np.nan)
        self._apart = np.zeros(shape[1], dtype=np.bool_)
        """Days on which all agents are off: they tell nothing of a single one."""
        self._renewed = np.full(shape[0], -1)
        """The day on which an agent's level was last taken for the usual one."""
        self._streak = np.zeros(shape[0], dtype=np.int64)
        self._side = np.zeros(shape[0])

    def run(self, scored_days: int) -> Scores:
        """Go through the days."""
        shape = self._measure.values.shape
        out = Scores(
            expected=np.full(shape, np.nan),
            z=np.full(shape, np.nan),
            lower=np.full(shape, np.nan),
            upper=np.full(shape, np.nan),
            flagged=np.zeros(shape, dtype=np.bool_),
            baseline_days=np.zeros(shape),
            lasts=np.zeros(shape),
            day_score=np.zeros(shape),
            lasting_score=np.zeros(shape),
            is_shared=np.zeros(shape, dtype=np.bool_),
            is_idle=np.zeros(shape, dtype=np.bool_),
        )
        for day in range(max(1, shape[1] - scored_days), shape[1]):
            if self._measure.present[day] and shape[0]:
                self._score_day(day, out)
        return out

    def _score_day(self, day: int, out: Scores) -> None:
        usable = self._valid[:, :day] & ~self._left_out[:, :day]
        days = usable.sum(axis=1)
        ages = day - np.arange(day)
        ahead = min(LASTING_D[-1], self._measure.values.shape[1] - day)
        weights = usable * self._trust[:, :day] * 0.5 ** (ages / HALF_LIFE_D)
        path, unsure = self._scale.expected(day, weights, ahead)
        residuals = self._scale.residual(day, path)
        spread, degrees = spread_of(self._residual[:, :day])
        # The usual doubt about a day is in the residuals; a weekday seldom seen is more doubtful.
        doubt = np.minimum((1.0 + unsure) / (1.0 + np.median(unsure)), _MOST_DOUBT)
        spread = spread * np.sqrt(np.maximum(doubt, 1.0))
        self._paths[day] = path, np.clip(residuals / spread[:, np.newaxis], -_CLIP, _CLIP)
        self._has_baseline[day] = days >= LEAST_DAYS
        now = _Day(
            day=day,
            ready=self._valid[:, day] & self._has_baseline[day],
            expected=path[:, 0],
            residual=residuals[:, 0],
            spread=spread,
            degrees=degrees,
            z=as_normal(residuals[:, 0] / spread, degrees),
        )
        gap = self._scale.idle(usable)
        idle = ~np.isnan(gap)
        now.z[idle] = np.maximum(special().ndtri_exp(gap[idle]), -MOST_Z)
        matters = now.ready & self._scale.matters(day, now.expected)
        if self._limits.only_more:
            matters &= now.z > 0
        out.day_score[matters, day] = now.z[matters]
        flagged = matters & self._beyond(now.z)
        self._write(now, out)
        no_lower = now.ready if self._limits.only_more else idle & now.ready
        out.lower[no_lower, day] = 0.0
        out.is_idle[:, day] = idle
        self._lasting(now, flagged, idle, out)
        shared = self._all_agents(now, flagged, idle, out)
        out.flagged[:, day] = flagged
        out.baseline_days[:, day] = days
        usual = self._valid[:, day] & (days >= 3) & ~idle
        # A flagged day says little of ordinary noise, but that noise may be larger than thought.
        kept = np.where(flagged, np.clip(now.residual, -2 * spread, 2 * spread), now.residual)
        if not self._apart[day]:
            self._residual[usual, day] = kept[usual]
        side = np.sign(np.where(flagged, out.z[:, day], now.residual))
        # An agent that comes and goes is known by few days: none of them is left out.
        off = (flagged & ~self._scale.intermittent(usable)) | shared
        self._remember(day, off, side)

    def _beyond(self, z: Floats) -> Flags:
        return (z >= self._limits.above) | (z <= -self._limits.below)

    def _write(self, now: _Day, out: Scores) -> None:
        ready, day = now.ready, now.day
        out.expected[ready, day] = self._scale.told(now.expected)[ready]
        out.z[ready, day] = now.z[ready]
        if day < out.z.shape[1] - 1:
            return
        above = now.spread * t_quantile(self._limits.above, now.degrees)
        below = now.spread * t_quantile(self._limits.below, now.degrees)
        low, high = self._scale.bounds(now.day, now.expected, (below, above))
        out.lower[ready, day] = low[ready]
        out.upper[ready, day] = high[ready]

    def _lasting(self, now: _Day, flagged: Flags, idle: Flags, out: Scores) -> None:
        """Flag what has been off for some days, where the day by itself is not flagged."""
        day = now.day
        best = np.zeros(len(flagged))
        for length in LASTING_D:
            first = day - length + 1
            if first not in self._paths:
                continue
            days = slice(first, day + 1)
            path, scaled = (each[:, :length] for each in self._paths[first])
            used = self._valid[:, days] & ~self._apart[days] & (path.shape[1] == length)
            used[:, -1] &= ~idle
            count = used.sum(axis=1)
            total = np.where(used, scaled, 0.0).sum(axis=1) / np.sqrt(np.maximum(count, 1))
            enough = now.ready & (count >= 0.6 * length) & (first > self._renewed)
            enough &= self._has_baseline[first]
            z = total / sum_spread(self._sums[length][:, :day], length)
            self._sums[length][enough & ~flagged, day] = total[enough & ~flagged]
            side = np.sign(z)
            same = (used & (np.sign(scaled) == side[:, np.newaxis])).sum(axis=1)
            last = used[:, -1] & (scaled[:, -1] * side >= _STILL_OFF)
            found = (
                enough
                & last
                & (same >= _SAME_SIDE * count)
                & (np.abs(z) > np.abs(out.lasting_score[:, day]))
                & self._scale.lasting_matters(days, path, used)
                & ((z > 0) | (not self._limits.only_more))
            )
            out.lasting_score[found, day] = z[found]
            found &= ~flagged & (np.abs(z) >= self._limits.lasting)
            best[found] = z[found]
            out.z[found, day] = np.clip(z[found], -MOST_Z, MOST_Z)
            out.lasts[found, day] = length
            out.expected[found, day] = self._scale.told(path[:, -1])[found]
        flagged |= best != 0

    def _all_agents(self, now: _Day, flagged: Flags, idle: Flags, out: Scores) -> Flags:
        """Judge all agents together; agents that are off as all are."""
        day, nobody = now.day, np.zeros(len(flagged), dtype=np.bool_)
        used = now.ready & ~idle
        if used.sum() < LEAST_FLEET:
            return nobody
        scaled = now.residual / now.spread
        common = float(np.clip(scaled[used], -_FLEET_CLIP, _FLEET_CLIP).mean())
        side = np.sign(common)
        spread, degrees = common_spread(self._common[:day], int(used.sum()))
        z = float(as_normal(np.array([common / spread]), np.array([degrees]))[0])
        sharing = float((scaled[used] * side >= _STILL_OFF).mean())
        observed, expected, ratio = self._scale.together(day, now.expected, used)
        off = used & flagged & (np.sign(out.z[:, day]) == side)
        most = off.sum() >= max(LEAST_FLEET, used.sum() / 2)
        proven = abs(z) >= FLEET and sharing >= _SHARING[self._measure.kind]
        if self._measure.kind is Kind.RATE or self._limits.only_more:
            proven &= side > 0
        is_off = bool((proven or most) and self._scale.shared_matters(expected, ratio))
        if is_off and abs(z) < FLEET:
            z = FLEET * float(side)
        usual = np.clip(self._ratio[:day][~np.isnan(self._ratio[:day])], 0.1, 10.0)
        most = 1.0 if self._measure.kind is Kind.RATE else np.inf
        swing = FLEET * (float(np.median(np.abs(np.log(usual)))) / 0.6745 if len(usual) else 0.1)
        out.shared[day] = Shared(
            observed=observed,
            expected=expected,
            lower=expected * min(float(np.exp(-swing)), 0.8),
            upper=min(expected * max(float(np.exp(swing)), 1.25), most),
            z=z,
            agents=int(used.sum()),
            flagged=is_off,
        )
        if not is_off:
            self._common[day], self._ratio[day] = common, ratio
            return nobody
        self._apart[day] = True
        moved = self._scale.shifted(now.expected, ratio)
        rest = self._scale.residual(day, moved[:, np.newaxis])[:, 0] / now.spread
        middle = np.median(rest[used])
        width = max(1.0, float(np.median(np.abs(rest[used] - middle))) / 0.6745)
        # What is off by far more than the others is an incident of its own.
        own = (rest * side / width > max(self._limits.above, self._limits.below) + 1.0) & flagged
        out.is_shared[:, day] = flagged & ~own & (np.sign(out.z[:, day]) == side)
        return used & (np.sign(now.residual) == side)

    def _remember(self, day: int, off: Flags, side: Floats) -> None:
        self._left_out[off, day] = True
        self._off[off, day] = side[off]
        lasts = off & ((self._side == side) | (self._streak == 0))
        self._streak = np.where(lasts, self._streak + 1, np.where(off, 1, 0))
        self._side = np.where(off, side, 0.0)
        for agent in np.flatnonzero(self._streak >= NEW_NORMAL_D):
            start = day + 1 - NEW_NORMAL_D
            self._left_out[agent, :start] = True
            self._left_out[agent, start : day + 1] = False
            self._streak[agent] = 0
            self._renewed[agent] = day
        if day >= 2 * _WEEK_D:
            weeks = self._off[:, day - 2 * _WEEK_D : day + 1 : _WEEK_D]
            weekly = off & (weeks == weeks[:, -1:]).all(axis=1)
            for at in range(day % _WEEK_D, day + 1, _WEEK_D):
                self._left_out[weekly, at] = at < day - 2 * _WEEK_D
                self._trust[weekly, at] = TRUSTED
