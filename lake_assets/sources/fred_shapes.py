"""The shapes of FRED's answers: what `fred` reads of them.

Belongs here: fields. Does not belong here: asking for them (`fred`).
"""

from datetime import date

import msgspec


class Series(msgspec.Struct):
    """What a series is."""

    id: str
    title: str
    frequency: str
    units: str
    seasonal_adjustment: str
    last_updated: str


class Described(msgspec.Struct):
    """Answer of `/fred/series`."""

    seriess: list[Series]


class Observation(msgspec.Struct):
    """One value, and the days between which it was the published one."""

    realtime_start: date
    realtime_end: date
    date: date
    value: str


class Observed(msgspec.Struct):
    """Answer of `/fred/series/observations`."""

    count: int
    observations: list[Observation]
