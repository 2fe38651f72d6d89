"""Months and rates as EDD's files write them.

Belongs here: reading cells. Does not belong here: which rows there are (`edd`).
"""

import re
from calendar import month_name
from datetime import date

from lake_assets.sources.errors import SourceMismatch
from lake_assets.sources.values import Cells, Written, kept, number, text, whole


def month_of(cells: Cells) -> date:
    """The month, from `07/2026`, `7/1/2026` or `2026-07-01`, else from year and month by name.

    Raises:
        SourceMismatch: the cells tell none, or two.
    """
    written = text(cells.get("Date_Numeric")) or text(cells.get("Date")) or ""
    iso = re.match(r"(?P<year>\d{4})-(?P<month>\d{1,2})\b", written)
    american = re.match(r"(?P<month>\d{1,2})/(?:\d{1,2}/)?(?P<year>\d{4})$", written)
    said_year, named = whole(cells["Year"], "Year"), (text(cells.get("Month")) or "").capitalize()
    if found := iso or american:
        year, month = int(found["year"]), int(found["month"])
    else:
        year, month = said_year, list(month_name).index(named) if named in month_name else 0
    if year is None or year != said_year or not 1 <= month <= 12:
        raise SourceMismatch(f"no month: date `{written}`, year `{said_year}`, month `{named}`")
    return date(year, month, 1)


def percent_of(rate: Written, force: Written, out: Written) -> Written:
    """The rate of those `out` of work in the labor `force`, told in percent or as a share."""
    found = kept(number, rate, "Unemployment Rate")
    if not isinstance(found, float) or not isinstance(force, int) or not isinstance(out, int):
        return found
    if not force:
        return found
    expected = 100 * out / force
    return round(found * 100, 4) if abs(found * 100 - expected) < abs(found - expected) else found
