"""USAspending's award search as the collector sees it: count, pages by cursor, day of the load."""

from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from tests.fakes.base import TODAY, Fake, Reply, Request, as_json

CODES: Mapping[str, Collection[str]] = {
    "contracts": ("A", "B", "C", "D"),
    "idvs": ("IDV_A", "IDV_B", "IDV_B_A", "IDV_B_B", "IDV_B_C", "IDV_C", "IDV_D", "IDV_E"),
    "grants": ("02", "03", "04", "05", "F001", "F002"),
    "direct_payments": ("06", "10", "F006", "F007"),
    "loans": ("07", "08", "F003", "F004"),
    "other": ("09", "11", "-1", "F005", "F008", "F009", "F010"),
}
MESSAGE = "For searches, time period start and end dates are currently limited to 2007-10-01."
_WINDOW_ROWS = 50_000
_COUNTED_ROWS = 10_000

_BASE = {
    "Award ID",
    "Recipient Name",
    "Recipient UEI",
    "recipient_id",
    "Awarding Agency",
    "Awarding Sub Agency",
    "Funding Agency",
    "Funding Sub Agency",
    "Base Obligation Date",
    "Last Modified Date",
    "Description",
    "Primary Place of Performance",
}
_MONEY = {"Start Date", "Award Amount", "Total Outlays"}
_AID = _BASE | _MONEY | {"End Date", "Award Type", "CFDA Number"}
SORTABLE: Mapping[str, Collection[str]] = {
    "contracts": _BASE | _MONEY | {"End Date", "Contract Award Type", "NAICS", "PSC"},
    "idvs": _BASE | _MONEY | {"Last Date to Order", "Contract Award Type", "NAICS", "PSC"},
    "grants": _AID,
    "direct_payments": _AID,
    "loans": _BASE | {"Issued Date", "Loan Value", "Subsidy Cost", "CFDA Number"},
    "other": _AID,
}
"""The fields that a group knows; all others are answered with null."""

Record = dict[str, Any]


def award(group: str, number: int, modified: str, **more: Any) -> Record:
    """One award of a group, with all that USAspending knows of it."""
    return {
        "group": group,
        "county": "085",
        "internal_id": 900_000_000 + number,
        "generated_internal_id": f"{group.upper()}_AWD_{number:06}_8000_-NONE-_-NONE-",
        "Award ID": f"80NSSC{number:06}",
        "Recipient Name": "EXAMPLE AEROSPACE INC",
        "Recipient UEI": "ABCDEF123456",
        "recipient_id": "11111111-2222-3333-4444-555555555555-C",
        "Awarding Agency": "National Aeronautics and Space Administration",
        "Awarding Sub Agency": "National Aeronautics and Space Administration",
        "Funding Agency": "National Aeronautics and Space Administration",
        "Funding Sub Agency": "National Aeronautics and Space Administration",
        "Base Obligation Date": "2026-01-05",
        "Last Modified Date": modified,
        "Description": "WIND TUNNEL; QUESTIONS TO ANN.LEE@NASA.GOV",
        "Primary Place of Performance": {
            "location_country_code": "USA",
            "country_name": "UNITED STATES",
            "state_code": "CA",
            "state_name": "California",
            "city_name": "SUNNYVALE",
            "county_code": "085",
            "county_name": "SANTA CLARA",
            "congressional_code": "17",
            "zip4": None,
            "zip5": "94089",
        },
        "Start Date": "2026-01-05",
        "End Date": "2027-01-04",
        "Last Date to Order": "2031-01-04",
        "Issued Date": "2026-02-01",
        "Award Amount": 1250000.5,
        "Total Outlays": 310000.10000000003,
        "Loan Value": 50000.0,
        "Subsidy Cost": -12.34,
        "Contract Award Type": "DELIVERY ORDER",
        "Award Type": "PROJECT GRANT (B)",
        "CFDA Number": "43.001",
        "NAICS": {"code": "541715", "description": "R&D IN THE PHYSICAL SCIENCES"},
        "PSC": {"code": "AR11", "description": "SPACE R&D SERVICES"},
    } | more


class FakeUsaspending(Fake):
    """`awards` in any order. `page_rows` is the most that one answer holds.

    `updated` is the day of the last load; `after_page` runs after each page of awards.
    """

    name = "usaspending"

    def __init__(self, today: date = TODAY) -> None:
        super().__init__(today)
        self.updated = today
        self.page_rows = 100
        self.after_page: Callable[[], None] = lambda: None
        self.messages = [MESSAGE]
        self.awards = [
            award(group, 10 * back + place, f"{today - timedelta(days=back)}")
            for back in range(1, 15)
            for place, group in enumerate(CODES)
        ]

    @property
    def env(self) -> Mapping[str, str]:
        return {"USASPENDING_BASE_URL": self.url, "USASPENDING_REQUESTS_PER_S": "1000"}

    def answer(self, request: Request) -> Reply:
        if (request.method, request.path) == ("GET", "/api/v2/awards/last_updated/"):
            return as_json({"last_updated": f"{self.updated:%m/%d/%Y}"})
        if request.method != "POST":
            return as_json({"detail": f'Method "{request.method}" not allowed.'}, status=405)
        asked = request.json()
        if request.path == "/api/v2/search/spending_by_award_count/":
            return as_json(self._count(asked["filters"]))
        if request.path == "/api/v2/search/spending_by_award/":
            reply = self._page(asked)
            self.after_page()
            return reply
        return as_json({"detail": "Not found."}, status=404)

    def _count(self, filters: Mapping[str, Any]) -> object:
        found = self.matching(filters)
        counts = {name: sum(a["group"] == name for a in found) for name in CODES}
        return {"results": counts, "spending_level": "awards", "messages": self.messages}

    def matching(self, filters: Mapping[str, Any]) -> Sequence[Record]:
        """The awards in the order of their id."""
        (period,), (place,) = filters["time_period"], filters["place_of_performance_locations"]
        groups = {name for name, codes in CODES.items() if set(codes) & _wanted(filters)}
        found = [
            award
            for award in self.awards
            if award["group"] in groups
            and award["county"] == place["county"]
            and (
                period.get("date_type") != "last_modified_date"
                or period["start_date"] <= award["Last Modified Date"][:10] <= period["end_date"]
            )
        ]
        return sorted(found, key=_place)

    def _page(self, asked: Mapping[str, Any]) -> Reply:
        wanted = _wanted(asked["filters"])
        groups = [name for name, codes in CODES.items() if wanted & set(codes)]
        if len(groups) != 1 or not wanted <= set(CODES[groups[0]]):
            return _unprocessable("'award_type_codes' must only contain types from one group.")
        if asked["sort"] not in SORTABLE[groups[0]] or asked["sort"] not in asked["fields"]:
            return _unprocessable("Sort value not found in requested fields.")
        limit, number = min(asked.get("limit", 10), self.page_rows), asked.get("page", 1)
        found = self.matching(asked["filters"])
        last_id, last_value = (asked.get(f"last_record_{of}") for of in ("unique_id", "sort_value"))
        if last_id is None:
            begin = (number - 1) * limit
            if begin >= _WINDOW_ROWS:
                return _unprocessable(f"Page #{number} is over the maximum result limit 50000.")
            more = min(len(found), _COUNTED_ROWS) - begin > limit
        else:
            begin = bisect_right(found, (last_value, last_id), key=_place)
            more = len(found) - begin > limit
        page = found[begin : begin + limit]
        metadata = {
            "page": number,
            "hasNext": more,
            "last_record_unique_id": page[-1]["internal_id"] if more else None,
            "last_record_sort_value": page[-1]["Award ID"] if more else "None",
        }
        return as_json(
            {
                "spending_level": "awards",
                "limit": limit,
                "results": [_answered(award, asked["fields"], groups[0]) for award in page],
                "page_metadata": metadata,
                "messages": self.messages,
            }
        )


def _wanted(filters: Mapping[str, Any]) -> set[str]:
    every = [code for codes in CODES.values() for code in codes]
    return set(filters.get("award_type_codes", every))


def _place(award: Record) -> tuple[str, int]:
    return award["Award ID"], award["internal_id"]


def _answered(award: Record, fields: Sequence[str], group: str) -> Record:
    known = {name: award[name] if name in SORTABLE[group] else None for name in fields}
    always = {name: award[name] for name in ("internal_id", "generated_internal_id")}
    agency = {"awarding_agency_id": 862, "agency_slug": "national-aeronautics"}
    return always | known | agency


def _unprocessable(detail: str) -> Reply:
    return as_json({"detail": detail}, status=422)
