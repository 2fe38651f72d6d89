"""Days off in forecasts: public holidays and the turn of the year.

Belongs here: which days those are, and what a series does on them.
Does not belong here: settings, models.

A day off that was unlike its weekday is a gap to models, so that it is no rhythm and no new level;
what a series did on such days is what it is expected to do on the next ones. Spikes of one to three
days that no calendar knows are tamed (`forecast_training`).
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

import numpy as np

from lake_assets.catalog.settings import SettingsError
from lake_assets.models.series import Flags, Floats, filled

_UNLIKE = 0.3
"""Share of the usual that a day off must be off by to be left out of training."""
_TRUST = 0.5
"""Days off that say nothing of the next ones, as evidence against those that were seen."""
_MOST_OFF = 0.5
"""Share of days off from which on they are what is usual."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaysOff:
    """Whether each value of a series lies on a day off, and each one after its last."""

    flags: Flags

    def of(self, start: int, count: int) -> Flags:
        """Those of `count` values from a place on; beyond what is known there are none."""
        found = np.zeros(count, dtype=np.bool_)
        known = self.flags[start : start + count]
        found[: len(known)] = known
        return found

    def since(self, start: int) -> "DaysOff":
        """Those of the series without its first values."""
        return DaysOff(flags=self.flags[start:])


def days_off(first: date, count: int, countries: Sequence[str]) -> DaysOff:
    """The days off among `count` days from `first` on.

    They are the public holidays of `countries` (`DE`, or `DE-BY` for a part of it) and the days
    from 24 December to 1 January, which are like no others nearly everywhere.
    """
    years = range(first.year, (first + timedelta(days=count)).year + 1)
    holidays = frozenset().union(*(_holidays(each, year) for each in countries for year in years))
    days = (first + timedelta(days=place) for place in range(count))
    return DaysOff(flags=np.array([_is_year_end(day) or day in holidays for day in days]))


def _is_year_end(day: date) -> bool:
    return (day.month == 12 and day.day >= 24) or (day.month == 1 and day.day == 1)


@cache
def _holidays(place: str, year: int) -> frozenset[date]:
    country, _, part = place.partition("-")
    library = importlib.import_module("holidays")
    try:
        return frozenset(library.country_holidays(country, subdiv=part or None, years=year))
    except NotImplementedError as error:
        raise SettingsError(
            f"LAKE_HOLIDAYS: no public holidays are known of {place}; it takes codes of countries "
            "such as US, or of a part of one such as DE-BY"
        ) from error


def without_days_off(values: Floats, off: DaysOff | None, season: int) -> Floats:
    """The series with gaps in place of days off that were unlike their weekdays."""
    if off is None:
        return values
    flags = off.of(0, len(values)) & ~np.isnan(values)
    if not flags.any() or flags.mean() > _MOST_OFF:
        return values
    usual = filled(np.where(flags, np.nan, values), season)
    unlike = flags & (np.abs(values - usual) > _UNLIKE * np.abs(usual))
    return np.where(unlike, np.nan, values)


def share_of_days_off(
    values: Floats, usual: Floats, off: DaysOff | None, season: int, horizon: int
) -> Floats | None:
    """What each step ahead is of a usual day: 1, or less on a day off where earlier ones were.

    None where no day off lies ahead, or none before.
    """
    if off is None:
        return None
    ahead = off.of(len(values), horizon)
    flags = off.of(0, len(values)) & ~np.isnan(values)
    if not ahead.any() or not flags.any() or flags.mean() > _MOST_OFF:
        return None
    expected = filled(np.where(flags, np.nan, usual), season)[flags]
    if not expected.sum() > 0:
        return None
    seen = float(values[flags].sum() / expected.sum())
    count = float(flags.sum())
    share = min(max((seen * count + _TRUST) / (count + _TRUST), 0.0), 1.5)
    return np.where(ahead, share, 1.0)
