"""Daily series that no part of the method was made on, and the split of their sources.

Belongs here: what a source is, groups of series by their properties, choosing and judging.
Does not belong here: reading packages (`unseen_sources`), forecasting (`contest`).

A source is one business: its series are forecast together, as the agents of one lake are. Which
part a source belongs to is decided by a hash of its data set's name alone. Choices (a method, a
weight, a constant) are made on the choosing part; the judging part is measured once they are made.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import numpy as np

from lake_assets.models.series import Floats

Part = Literal["choosing", "judging"]
PARTS: tuple[Part, ...] = ("choosing", "judging")
TRAIN = 126
"""Days that every contender is trained on, and that scales and groups are computed from."""
AHEAD = 14
LONGEST = 31
"""Days after an origin that must be known: a month's end is at most so far away."""

_WEEK = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Series that begin on the same day; `counts` are forecast as requests, others as costs."""

    name: str
    first: date
    series: Mapping[str, Floats]
    counts: bool

    def __post_init__(self) -> None:
        if len({len(values) for values in self.series.values()}) != 1:
            raise ValueError(f"{self.name}: its series differ in length, or there are none")

    @property
    def days(self) -> int:
        """How many days are known."""
        return len(next(iter(self.series.values())))

    def day(self, place: int) -> date:
        """The day at a place of the series."""
        return self.first + timedelta(days=place)

    def origins(self, count: int) -> list[int]:
        """Places of the first day ahead, spread evenly over what can be trained and judged."""
        latest = self.days - LONGEST
        if latest < TRAIN:
            raise ValueError(f"{self.name}: {self.days} days are too few")
        return sorted({round(each) for each in np.linspace(TRAIN, latest, count)})


def data_set(source: str) -> str:
    """What a source is cut from: its name before the colon."""
    return source.partition(":")[0]


def part_of(source: str) -> Part:
    """The part of a source, by the first byte of the SHA-256 of its data set: even is choosing."""
    digest = hashlib.sha256(data_set(source).encode()).digest()
    return "judging" if digest[0] % 2 else "choosing"


def group_of(training: Floats) -> str:
    """What kind of series it is at an origin; the first that fits of five.

    Negative: a day below 0. Sparse: a fifth of days 0 or more. After a shift: between two and
    eight weeks ago, weekly sums went to another level by a quarter or more, and a step describes
    them better than a line. Growing: a line does that rises by 40 % of the mean. Dense: others.
    """
    if (training < 0).any():
        return "negative"
    if (training == 0).mean() >= 0.2:
        return "sparse"
    weeks = training[len(training) % _WEEK :].reshape(-1, _WEEK).sum(axis=1)
    mean = float(weeks.mean())
    flat = float(((weeks - mean) ** 2).sum())
    places = np.arange(len(weeks))
    slope, start = np.polyfit(places, weeks, 1)
    line = float(((weeks - start - slope * places) ** 2).sum())
    step, before, after = min(_step(weeks, at) for at in range(len(weeks) - 8, len(weeks) - 1))
    if step < 0.5 * flat and step < 0.8 * line and abs(after - before) >= 0.25 * before:
        return "after a shift"
    if line < 0.5 * flat and slope * len(weeks) >= 0.4 * mean:
        return "growing"
    return "dense"


def _step(weeks: Floats, at: int) -> tuple[float, float, float]:
    before, after = weeks[:at], weeks[at:]
    rest = ((before - before.mean()) ** 2).sum() + ((after - after.mean()) ** 2).sum()
    return float(rest), float(before.mean()), float(after.mean())
