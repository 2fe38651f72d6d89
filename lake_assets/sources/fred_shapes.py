"""The shapes of FRED's answers: what `fred` reads of them.

Belongs here: fields. Does not belong here: asking for them (`fred`).
"""

from datetime import date

import msgspec

from lake_assets.sources.values import Loosely


class Series(msgspec.Struct):
    """What a series is."""

    id: str
    title: Loosely[str]
    frequency: Loosely[str]
    units: Loosely[str]
    seasonal_adjustment: Loosely[str]
    last_updated: str


class Described(msgspec.Struct):
    """Answer of `/fred/series`."""

    seriess: list[Series]


class Observation(msgspec.Struct):
    """One value, and the days between which it was the published one."""

    realtime_start: date
    realtime_end: date
    date: date
    value: Loosely[str]


class Observed(msgspec.Struct):
    """Answer of `/fred/series/observations`."""

    count: int
    observations: list[Observation]
