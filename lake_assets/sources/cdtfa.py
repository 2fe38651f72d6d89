"""CDTFA's taxable sales and seller permits of one county and its cities, from its open-data portal.

**What.** Per quarter since 2015 and business group, from two OData tables: counties (its Table 3)
and cities (its Table 4). Sales and counts of permits are in the same rows; no table has permits
alone. Counties count permits; cities count outlets.

**Pages.** See `cdtfa_tables`.

**A day** is the day on which a row was first seen or had changed; the whole history of the county
(some 9,000 rows) is read each time. The portal shows its present state only.

**A revision** is any changed figure or flag. Older quarters are revised with every new one.

**Not published yet.** A quarter is simply not there for five to six months. A county without any
row is not late, but broken.

**Traps.** The tables name the same figure differently. Groups contain each other: `CTR` is C01 to
C09, `TTL` is `CTR` and `OTH`. Names of cities change between `SAN JOSE` and `San Jose` from quarter
to quarter.

**Unconfirmed:** how the table of cities writes the county (it is asked for in two spellings),
whether it has a county code and a permit date, and what it calls what lies outside of cities.
"""

import re
from calendar import monthrange
from collections.abc import Iterator
from datetime import date

from lake_assets.sources import config
from lake_assets.sources.cdtfa_tables import county_rows
from lake_assets.sources.collect import Ask, Collector, Row
from lake_assets.sources.errors import SourceMismatch
from lake_assets.sources.values import Cells, day, kept, text, whole

_ORDER = "CalendarYear,Quarter,BusinessGroupCode"
_TABLES = {
    "county": ("Taxable_Sales_Counties", _ORDER),
    "city": ("Taxable_Sales_Cities", f"{_ORDER},City"),
}
_SALES = {"county": "TaxableTransactions", "city": "TaxableTransactionsAmount"}
_COUNTS = {"county": "NumberOfPermits", "city": "NumberofOutlets"}
_BASIS = {"county": "permits", "city": "outlets"}


def sales(ask: Ask) -> Iterator[Row]:
    """What was sold in the county, then in its cities."""
    for level, end, about, cells in _rows(ask):
        yield about | {
            "period_start": date(end.year, end.month - 2, 1),
            "period_end": end,
            "taxable_transactions_usd": kept(whole, cells[_SALES[level]], _SALES[level]),
        }


def permits(ask: Ask) -> Iterator[Row]:
    """The permits in the county, then the outlets in its cities."""
    for level, end, about, cells in _rows(ask):
        said = text(cells.get("PermitDate"))
        counted = kept(day, said, "PermitDate") if said else end
        if not isinstance(counted, date):
            ask.warn(f"`PermitDate` is no day, and the quarter's last was taken: {said}")
            counted = end
        yield about | {
            "permit_date": counted,
            "permits_count": kept(whole, cells[_COUNTS[level]], _COUNTS[level]),
            "count_basis": _BASIS[level],
        }


def _rows(ask: Ask) -> Iterator[tuple[str, date, dict[str, object], Cells]]:
    """Per row: what it is about, the quarter's last day, what both datasets say, and its cells."""
    for level, (table, order) in _TABLES.items():
        for cells in county_rows(ask, table, order=order):
            year, quarter = whole(cells["CalendarYear"], "CalendarYear"), text(cells["Quarter"])
            city = text(cells["City"]) if level == "city" else None
            group = text(cells["BusinessGroupCode"])
            found = re.fullmatch("Q?([1-4])", quarter or "")
            if not found or not group or not year or not 0 < year <= ask.now.year:
                where = f"{year} {quarter}, {group}"
                raise SourceMismatch(f"{table}: a row without quarter or group: {where}")
            month = 3 * int(found[1])
            yield (
                level,
                date(year, month, monthrange(year, month)[1]),
                {
                    "calendar_year": year,
                    "quarter": int(found[1]),
                    "geo_level": level,
                    "county": ask.settings["CDTFA_COUNTY"].upper(),
                    "county_code": kept(whole, cells.get("CountyCode"), "CountyCode"),
                    "county_fips": ask.settings["CDTFA_COUNTY_FIPS"],
                    "city": city and city.upper(),
                    "business_group_code": group,
                    "business_type": text(cells.get("BusinessType")),
                    "disclosure_flag": (text(cells["DisclosureFlag"]) or "").lower() or None,
                },
                cells,
            )


_PAST = "the portal shows its present state only, which belongs to today"
SALES = Collector(upstream=config.CDTFA, collect=sales, reach_d=0, gone=_PAST)
PERMITS = Collector(upstream=config.CDTFA, collect=permits, reach_d=0, gone=_PAST)
