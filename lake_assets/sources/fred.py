"""FRED, the St. Louis Fed's economic time series, with their vintages.

**What.** A list of series (a setting); per series its description and its observations of the last
months, each with the days from and to which a value was the published one.

**Pages.** `limit` and `offset` up to `count`; one page of 100,000 is enough for any series here.

**A day** D is what was known on D: every value whose `realtime_start` is not after D. Because the
vintages are asked for, not only today's values, past days can be collected as they were, alone or
within a range: with the same window, and without what came later (`realtime_end` is D at most).

**A revision** is a new vintage: another `realtime_start` for the same observation. A vintage never
changes; a description may, and that is none.

**Traps.** The key is in the URL. A missing value is written `.`. The limit is 2 requests a second.
`400 … api_key is not registered` also comes under load, so it is tried again. Without vintages,
`realtime_start` would be the day of asking, and every day would look like news; vintages are asked
for from a year before the window, so that none is cut at its edge. More than 2,000 vintages in one
question are refused; three years of a daily series have about 750.

**Unconfirmed:** most ids of the county's series (an unknown id is left out with a warning); that
FRED counts days in its own zone (the newest vintage asked for is today in Chicago).
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

from lake_assets.sources import config
from lake_assets.sources.answers import Refused
from lake_assets.sources.collect import Ask, Collector, Row
from lake_assets.sources.errors import SourceMismatch
from lake_assets.sources.fred_shapes import Described, Observation, Observed
from lake_assets.sources.values import kept, number

Shape = TypeVar("Shape")

_PAGE_ROWS = 100_000
_ST_LOUIS = ZoneInfo("America/Chicago")
_DAYS_PER_MONTH = 30.5
_DESCRIPTION = ("title", "frequency", "units", "seasonal_adjustment")


def collect(ask: Ask) -> Iterator[Row]:
    """Every vintage that was out on the day, of all series."""
    wanted = config.listed(ask.settings["FRED_SERIES"])
    unknown: list[str] = []
    for series_id in wanted:
        try:
            described = _ask(ask, "series", Described, series_id=series_id)
            vintages = list(_vintages(ask, series_id))
        except Refused as refusal:
            if refusal.status != 400 or "does not exist" not in refusal.text:
                raise
            unknown.append(series_id)
            continue
        for series in described.seriess:
            about = {name: getattr(series, name) for name in _DESCRIPTION} | {
                "series_id": series.id,
                "series_last_updated": datetime.fromisoformat(series.last_updated),
            }
            for vintage in vintages:
                if vintage.realtime_start <= ask.day and vintage.date >= _since(ask, ask.day):
                    said = vintage.value
                    yield about | {
                        "observation_date": vintage.date,
                        "value": None if said == "." else kept(number, said, "value"),
                        "realtime_start": vintage.realtime_start,
                        "realtime_end": min(vintage.realtime_end, ask.day),
                    }
    if unknown and ask.day == ask.days[0]:
        ask.warn(f"FRED does not know these series, or not their vintages: {', '.join(unknown)}")
    if len(unknown) == len(wanted):
        raise SourceMismatch("FRED knows none of the series in FRED_SERIES")


def _since(ask: Ask, day: date) -> date:
    months = number(ask.settings["FRED_WINDOW_MONTHS"], "FRED_WINDOW_MONTHS") or 0
    return day - timedelta(days=round(months * _DAYS_PER_MONTH))


def _vintages(ask: Ask, series_id: str) -> Iterator[Observation]:
    since = _since(ask, ask.days[0])
    offset, count = 0, 1
    while offset < count:
        page = _ask(
            ask,
            "series/observations",
            Observed,
            series_id=series_id,
            observation_start=since.isoformat(),
            realtime_start=(since - timedelta(days=366)).isoformat(),
            realtime_end=min(ask.days[-1], ask.now.astimezone(_ST_LOUIS).date()).isoformat(),
            limit=_PAGE_ROWS,
            offset=offset,
        )
        yield from page.observations
        offset, count = offset + len(page.observations), page.count
        if not page.observations and offset < count:
            raise SourceMismatch(f"{series_id}: {offset} of {count} observations came")


def _ask(ask: Ask, path: str, into: type[Shape], **params: str | int) -> Shape:
    return ask.http.get_json(
        f"{ask.settings['FRED_BASE_URL']}/fred/{path}",
        params={**params, "api_key": ask.settings["FRED_API_KEY"], "file_type": "json"},
        into=into,
        transient=lambda status, text: status == 400 and "is not registered" in text,
        remember=True,
    )


COLLECTOR = Collector(
    upstream=config.FRED,
    collect=collect,
    bookkeeping=(*_DESCRIPTION, "realtime_end", "series_last_updated"),
)
