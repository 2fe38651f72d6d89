"""FRED's API as the collector sees it: descriptions and observations with vintages."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import zip_longest

from tests.fakes.base import TODAY, Fake, Reply, Request, as_json

KEY = "0123456789abcdef0123456789abcdef"
FOREVER = date(9999, 12, 31)


@dataclass(frozen=True)
class Vintage:
    """A value that was the published one from `known` on, until the next vintage of its period."""

    period: date
    known: date
    value: str


def refused(message: str) -> Reply:
    return as_json({"error_code": 400, "error_message": f"Bad Request.  {message}"}, status=400)


class FakeFred(Fake):
    """`series` maps an id to its vintages, in any order."""

    name = "fred"

    def __init__(self, today: date = TODAY) -> None:
        super().__init__(today)
        # The newest of three months is out by November; before, the year before has them.
        year = today.year if today.month >= 11 else today.year - 1
        months = [date(year, month, 1) for month in (7, 8, 9)]
        self.series: dict[str, list[Vintage]] = {
            "CASANT5URN": [
                Vintage(period, period + timedelta(days=50), value)
                for period, value in zip(months, ("4.5", "4.6", "."), strict=True)
            ],
            "UNRATE": [Vintage(months[0], months[1] + timedelta(days=4), "4.2")],
        }

    @property
    def env(self) -> Mapping[str, str]:
        return {
            "FRED_BASE_URL": self.url,
            "FRED_API_KEY": KEY,
            "FRED_REQUESTS_PER_S": "1000",
            "FRED_SERIES": ",".join(self.series),
        }

    def answer(self, request: Request) -> Reply:
        query = request.query
        if query.get("api_key") != KEY:
            return refused("The value for variable api_key is not registered.")
        if query.get("series_id") not in self.series:
            return refused("The series does not exist.")
        if request.path == "/fred/series":
            return as_json({"seriess": [self._description(query["series_id"])]})
        if request.path == "/fred/series/observations":
            return self._observations(query)
        return as_json({"error_code": 404, "error_message": "Not Found"}, status=404)

    def _description(self, series_id: str) -> dict[str, object]:
        return {
            "id": series_id,
            "realtime_start": f"{self.today}",
            "realtime_end": f"{self.today}",
            "title": f"Title of {series_id}",
            "observation_start": "1990-01-01",
            "observation_end": f"{self.today}",
            "frequency": "Monthly",
            "frequency_short": "M",
            "units": "Percent",
            "units_short": "%",
            "seasonal_adjustment": "Not Seasonally Adjusted",
            "last_updated": f"{self.today - timedelta(days=2)} 07:48:09-06",
            "popularity": 12,
        }

    def _observations(self, query: Mapping[str, str]) -> Reply:
        first = date.fromisoformat(query.get("realtime_start", f"{self.today}"))
        last = date.fromisoformat(query.get("realtime_end", f"{self.today}"))
        if last > self.today and last != FOREVER:
            return refused("Variable realtime_end can not be after today's date.")
        rows = [
            {
                "realtime_start": f"{max(known, first)}",
                "realtime_end": f"{min(until, last)}",
                "date": f"{period}",
                "value": value,
            }
            for period, known, until, value in self._published(query["series_id"])
            if known <= last and until >= first and f"{period}" >= query["observation_start"]
        ]
        limit, offset = int(query.get("limit", 100_000)), int(query.get("offset", 0))
        return as_json(
            {
                "realtime_start": f"{first}",
                "realtime_end": f"{last}",
                "observation_start": query["observation_start"],
                "observation_end": "9999-12-31",
                "units": "lin",
                "output_type": 1,
                "file_type": "json",
                "order_by": "observation_date",
                "sort_order": "asc",
                "count": len(rows),
                "offset": offset,
                "limit": limit,
                "observations": rows[offset : offset + limit],
            }
        )

    def _published(self, series_id: str):
        """Each vintage with the day until which it held, in FRED's order."""
        ordered = sorted(self.series[series_id], key=lambda v: (v.period, v.known))
        for vintage, after in zip_longest(ordered, ordered[1:]):
            replaced = after is not None and after.period == vintage.period
            until = after.known - timedelta(days=1) if replaced else FOREVER
            yield vintage.period, vintage.known, until, vintage.value
