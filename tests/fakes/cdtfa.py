"""CDTFA's open-data portal as its collectors see it: two OData tables."""

import re
from collections.abc import Mapping
from datetime import date

from tests.fakes.base import TODAY, Fake, Reply, Request, as_json

COUNTIES, CITIES = "Taxable_Sales_Counties", "Taxable_Sales_Cities"
GROUPS = {
    "C01": "Motor Vehicle and Parts Dealers",
    "C08": "Food Services and Drinking Places",
    "TTL": "Total All Outlets",
}


def county_row(year: int, quarter: int, group: str, **more: object) -> dict[str, object]:
    last = {1: "03-31", 2: "06-30", 3: "09-30", 4: "12-31"}[quarter]
    return {
        "CalendarYear": year,
        "Quarter": f"Q{quarter}",
        "QuarterMonthfrom": 3 * quarter - 2,
        "QuarterMonthto": 3 * quarter,
        "County": "SANTA CLARA",
        "CountyCode": 43,
        "BusinessGroupCode": group,
        "BusinessType": GROUPS[group],
        "PermitDate": f"{year}-{last}",
        "NumberOfPermits": 1_800 + quarter,
        "TaxableTransactions": 1_834_567_890 + year + quarter,
        "DisclosureFlag": None,
    } | more


def city_row(
    year: int, quarter: int, city: str, group: str = "TTL", **more: object
) -> dict[str, object]:
    return {
        "CalendarYear": year,
        "Quarter": f"Q{quarter}",
        "City": city,
        "County": "Santa Clara",
        "BusinessGroupCode": group,
        "BusinessType": GROUPS[group],
        "NumberofOutlets": 40 + len(city),
        "TaxableTransactionsAmount": 1_000_000 * len(city) + quarter,
        "DisclosureFlag": None,
    } | more


class FakeCdtfa(Fake):
    """`tables` by name; `page_rows` is the most that one answer holds."""

    name = "cdtfa"

    def __init__(self, today: date = TODAY) -> None:
        super().__init__(today)
        self.page_rows = 10_000
        year = today.year
        self.tables: dict[str, list[dict[str, object]]] = {
            COUNTIES: [county_row(year, 1, group) for group in GROUPS]
            + [county_row(year, 1, "TTL", County="ALAMEDA", CountyCode=1)],
            CITIES: [
                city_row(year - 1, 4, "SAN JOSE"),
                city_row(year, 1, "San Jose"),
                city_row(
                    year,
                    1,
                    "Monte Sereno",
                    "C08",
                    TaxableTransactionsAmount=None,
                    DisclosureFlag="C",
                ),
                city_row(year, 1, "Oakland", County="Alameda"),
            ],
        }

    @property
    def env(self) -> Mapping[str, str]:
        return {"CDTFA_BASE_URL": self.url, "CDTFA_REQUESTS_PER_S": "1000"}

    def answer(self, request: Request) -> Reply:
        table, query = request.path.removeprefix("/dataportal/api/odata/"), request.query
        if "Mozilla" not in request.headers.get("user-agent", ""):
            return Reply(status=403, headers={"content-type": "text/html"}, body=b"<html>Rejected")
        if table not in self.tables:
            return as_json({"message": f"No HTTP resource was found: {table}"}, status=404)
        names = re.findall(r"County eq '((?:[^']|'')*)'", query.get("$filter", ""))
        wanted = {name.replace("''", "'") for name in names}
        rows = [row for row in self.tables[table] if not wanted or row["County"] in wanted]
        order = [name for name in query.get("$orderby", "").split(",") if name]
        rows.sort(key=lambda row: [row[name] for name in order])
        skip = int(query.get("$skip", 0))
        page = rows[skip : skip + min(int(query.get("$top", 100)), self.page_rows)]
        count = {"@odata.count": len(rows)} if query.get("$count") == "true" else {}
        context = f"{self.url}/dataportal/api/odata/$metadata#{table}"
        return as_json({"@odata.context": context} | count | {"value": page})
