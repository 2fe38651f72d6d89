"""What models are trained on: a series without what will not come back.

Belongs here: bringing days before a new weekly rhythm to that rhythm, taming of short spikes.
Does not belong here: models (`forecast_candidates`), gaps (`series`), what errors are measured on.
"""

from typing import NamedTuple

import numpy as np

from lake_assets.models.series import Flags, Floats

_SEASONS_EACH_SIDE = 2
"""Seasons before and after a change of rhythm, so that each is a mean of two values."""
_CLEAR = 10.0
"""F of the clearest change from which it is believed. Simulated series without a change stay below
6; a few costs in the sample come up to 13."""


class _Change(NamedTuple):
    at: int
    before: Floats
    after: Floats


def trained_on(values: Floats, season: int) -> Floats:
    """The series as models see it: one rhythm throughout, and spikes tamed.

    In this order, as days of a new rhythm are spikes beside the old one. A series with negative
    values stays as it is: shares mean nothing there.
    """
    if (values < 0).any():
        return values
    return tamed(steadied(values, season), season)


def steadied(values: Floats, season: int) -> Floats:
    """The series with one rhythm: where it clearly changed, what lies before has the new one.

    A value is scaled by how much more or less its weekday counts since; the sum stays as it was, so
    that there is no step of the level but the one that there was.
    """
    # One spike in the last weeks looks like a rhythm, unless it is tamed.
    change = _change(np.log1p(tamed(values, season, repeated=False)), season)
    if change is None:
        return values
    phases = np.arange(change.at) % season
    logs = np.log1p(values[: change.at]) + (change.after - change.before)[phases]
    moved = np.expm1(logs).clip(0.0)
    moved *= values[: change.at].sum() / max(float(moved.sum()), 1e-12)
    return np.concatenate((moved, values[change.at :]))


def _change(logs: Floats, season: int) -> _Change | None:
    """The day from which two rhythms explain the series clearly better than one."""
    least = _SEASONS_EACH_SIDE * season
    if season < 2 or len(logs) < 2 * least + season:
        return None
    off = logs - _level(logs, season)
    places = np.arange(len(logs))
    of_phase = np.zeros((len(logs), season))
    of_phase[places, places % season] = 1.0
    # Sums and counts of each phase up to every day: one pass tells of all days at once.
    sums, counts = np.cumsum(of_phase * off[:, np.newaxis], axis=0), np.cumsum(of_phase, axis=0)
    at = np.arange(least, len(logs) - least + 1)
    early, late = sums[at - 1], sums[-1] - sums[at - 1]
    early_counts, late_counts = counts[at - 1], counts[-1] - counts[at - 1]
    whole = float((off * off).sum())
    by_one = whole - float((sums[-1] ** 2 / counts[-1]).sum())
    by_two = whole - (early**2 / early_counts + late**2 / late_counts).sum(axis=1)
    spread = np.maximum(by_two / (len(logs) - 2 * season), 1e-9)
    clearness = (by_one - by_two) / (season - 1) / spread
    best = int(np.argmax(clearness))
    if clearness[best] < _CLEAR:
        return None
    before, after = early[best] / early_counts[best], late[best] / late_counts[best]
    return _Change(int(at[best]), before - before.mean(), after - after.mean())


def _level(logs: Floats, season: int) -> Floats:
    """The mean over one season around each value, in which every phase counts the same."""
    weights = np.ones(season)
    if season % 2 == 0:
        weights = np.concatenate(([0.5], np.ones(season - 1), [0.5]))
    padded = np.pad(logs, season // 2, mode="reflect")
    return np.convolve(padded, weights / season, "valid")


def tamed(
    values: Floats, season: int, *, limit: float = 4.0, longest: int = 3, repeated: bool = True
) -> Floats:
    """The series with short spikes and drops replaced by what was usual around them.

    A value is a spike when its logarithm lies more than `limit` robust standard deviations from
    the usual for its weekday and the two weeks around it, for at most `longest` days: what lasts
    longer is a new level and stays. Without `repeated`, so does one that comes again: one season
    before or after, a value is off the same way by three quarters of the limit. Series that are
    mostly zero are left alone.
    """
    if season < 2 or len(values) < 4 * season or (values > 0).mean() < 0.7:
        return values
    logs = np.log1p(values)
    usual = _usual(logs, season)
    off = logs - usual
    noise = 1.4826 * float(np.median(np.abs(off)))
    # Counts are no surer than a Poisson count of their size.
    spread = np.maximum(noise, 1.0 / np.sqrt(np.expm1(usual).clip(0.0) + 1.0))
    height = off / (limit * np.maximum(spread, 0.02))
    spike = np.abs(height) > 1.0
    edges = np.flatnonzero(np.diff(np.concatenate(([0], spike.astype(np.int8), [0]))))
    short = np.zeros_like(spike)
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        short[start:stop] = stop - start <= longest
    if not repeated:
        short &= ~_repeats(height, season)
    return np.where(short, np.expm1(usual).clip(0.0), values)


def _usual(logs: Floats, season: int) -> Floats:
    """The middle of each value's weekday and of the two seasons around it."""
    level = _running_median(logs, season)
    phases = np.arange(len(logs)) % season
    rhythm = np.array([np.median((logs - level)[day::season]) for day in range(season)])
    return rhythm[phases] + _running_median(logs - rhythm[phases], season)


def skew(values: Floats, season: int) -> float:
    """How much more the values of a series add up to than what is usual on their days.

    Models aim at the middle of what may come, and see spikes tamed; a sum has the spikes in it.
    """
    if season < 2 or len(values) < 4 * season or (values < 0).any():
        return 1.0
    unit = float(np.median(values[values > 0])) if (values > 0).any() else 1.0
    usual = np.expm1(_usual(np.log1p(values / unit), season)).clip(0.0) * unit
    return min(max(float(values.sum()) / max(float(usual.sum()), 1e-300), 1.0), 2.0)


def _repeats(height: Floats, season: int) -> Flags:
    """Where a value one season before or after is off the same way, by three quarters of 1."""
    around = np.pad(height, season)
    before, after = around[: -2 * season], around[2 * season :]
    return np.maximum(before * np.sign(height), after * np.sign(height)) > 0.75


def _running_median(values: Floats, half: int) -> Floats:
    padded = np.pad(values, half, constant_values=np.nan)
    return np.nanmedian(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1), axis=1)
