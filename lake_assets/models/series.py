"""Daily series from tables of rows, as they were known on a day.

Belongs here: cutting off what was not known yet, sums per day and name, days without data.
Does not belong here: models.

Every function refuses to see rows after its day: the frame that calls a model filters them too,
and a model that is called with more must not give another answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

NONE_NAME = "(none)"
"""The part of rows that name nobody."""
OTHER_NAME = "(other)"
"""The part that small ones share where there are too many."""

_MOST_MICRO = 1e300
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The days of a training window: `days` of them, the last one is `last`."""

    last: date
    days: int

    @property
    def first(self) -> date:
        """Its first day."""
        return self.last - timedelta(days=self.days - 1)

    def day(self, index: int) -> date:
        """The day at a place of the arrays over this span; -1 is the last."""
        return self.first + timedelta(days=index % self.days)


def known(table: pa.Table, span: Span) -> pa.Table:
    """The rows of a table within the span; what came later is left out."""
    at = places(table, span)
    return table.filter(pa.array((at >= 0) & (at < span.days)))


def places(table: pa.Table, span: Span) -> NDArray[np.int64]:
    """The place of each row's day in arrays over the span."""
    days = pc.cast(pc.cast(table["date"], pa.date32()), pa.int32()).to_numpy()
    return days.astype(np.int64) - (span.first - _EPOCH).days


def names_of(table: pa.Table, column: str) -> pa.ChunkedArray:
    """A text column with its nulls named."""
    return pc.fill_null(pc.cast(table[column], pa.string()), NONE_NAME)


def pairs_of(table: pa.Table, first: str, second: str) -> pa.ChunkedArray:
    """Two text columns as one, with a slash between."""
    texts = [names_of(table, first), names_of(table, second), "/"]
    return pc.call_function("binary_join_element_wise", texts)


def numbers(table: pa.Table, column: str) -> Floats:
    """A numeric column as floats; null is NaN."""
    return pc.cast(table[column], pa.float64()).to_numpy().astype(np.float64)


def present_days(table: pa.Table, span: Span) -> Flags:
    """The days of the span that have rows."""
    present = np.zeros(span.days, dtype=np.bool_)
    present[places(table, span)] = True
    return present


def daily_sums(
    table: pa.Table, names: pa.ChunkedArray, values: Floats | None, span: Span
) -> dict[str, Floats]:
    """Per name, the sum of `values` (or the count of rows) on each day, in order of the names."""
    encoded = names.dictionary_encode().combine_chunks()
    words: list[str] = encoded.dictionary.to_pylist()
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    # Whole micro-units add up to the same sum in any order of the rows, floats do not.
    weights = None if values is None else _micro(values)
    flat = np.bincount(
        codes * span.days + places(table, span), weights, minlength=len(words) * span.days
    )
    sums = flat.reshape(len(words), span.days).astype(np.float64)
    sums = sums if values is None else sums / 1e6
    return {word: sums[index] for index, word in sorted(enumerate(words), key=lambda each: each[1])}


def _micro(values: Floats) -> Floats:
    """Whole micro-units; null is nothing, and what has no end is more than any model takes."""
    with np.errstate(over="ignore", invalid="ignore"):
        micro = np.rint(np.where(np.isnan(values), 0.0, values) * 1e6)
    # Endless sums on either side would have no sum together.
    return np.clip(micro, -_MOST_MICRO, _MOST_MICRO)


def at_most(parts: Mapping[str, Floats], count: int) -> dict[str, Floats]:
    """The parts, or the largest `count` of them and one for the sum of all others."""
    if len(parts) <= count:
        return dict(parts)
    named = [name for name in parts if name != OTHER_NAME]
    ranked = sorted(named, key=lambda name: (-float(np.abs(parts[name]).sum()), name))
    kept = {name: parts[name] for name in sorted(ranked[:count])}
    # One that bears the name of the rest is part of it.
    rest = [*ranked[count:], *(parts.keys() - named)]
    kept[OTHER_NAME] = np.sum([parts[name] for name in sorted(rest)], axis=0)
    return kept


def filled(values: Floats, season: int) -> Floats:
    """The series with its gaps (NaN) filled from the same weekday of the weeks around them."""
    out = values.copy()
    known_at = np.flatnonzero(~np.isnan(values))
    if not len(known_at):
        return np.zeros_like(values)
    for gap in np.flatnonzero(np.isnan(values)):
        around = gap + season * np.array([-2, -1, 1, 2])
        around = around[(around >= 0) & (around < len(values))]
        weeks = values[around]
        weeks = weeks[~np.isnan(weeks)]
        out[gap] = weeks.mean() if len(weeks) else np.interp(gap, known_at, values[known_at])
    return out
