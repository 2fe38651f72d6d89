"""www.irs.gov as the IRS collector sees it: CSV files under `/pub/irs-soi/`, some not there yet."""

import csv
import io
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

from tests.fakes.base import TODAY, Fake, Reply, Request

_A_TO_M = "AL AK AZ AR CA CO CT DE DC FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO"
_M_TO_W = "MT NE NV NH NJ NM NY NC ND OH OK OR PA RI SC SD TN TX UT VT VA WA WV WI WY"
STATES = [*_A_TO_M.split(), *_M_TO_W.split()]
_NO_STATES = {3, 7, 14, 43, 52}
FIPS = dict(zip(STATES, (n for n in range(1, 57) if n not in _NO_STATES), strict=True))
ZIP_CODES = ("94301", "95112")
_FIGURES = "N1 mars1 N2 A00100 N00200 A00200 A00300 A00600 A00900 A01000 A10300"
_SPELLING = {
    "noagi": {"stub": "AGI_STUB", "zip": "ZIPCODE", "number": "{}.0000", "fips": "{:02}"},
    "agi": {"stub": "agi_stub", "zip": "zipcode", "number": "{}", "fips": "{}"},
}
"""The IRS spells its files differently."""

Line = dict[str, str]


def figures(area: int, stub: int, year: int) -> dict[str, int]:
    """Made up, but always the same; capital gains are a loss in the lowest bracket."""
    base = 10 * (area % 89 + 7 * stub + year % 10 + 3)
    values = {name: base * (place + 1) for place, name in enumerate(_FIGURES.split())}
    return values | ({"A01000": -base} if stub == 1 else {})


def lines(stem: str, year: int, states: Iterable[str] = STATES) -> list[Line]:
    """One file: per state its total; in California also some counties or ZIP codes."""
    spelling = _SPELLING["noagi" if "noagi" in stem else "agi"]
    is_county = "incy" in stem
    stubs = [0] if "noagi" in stem else range(1, 9 if is_county else 7)
    made: list[Line] = []
    for state in states:
        areas: dict[int, str] = {0: state}
        if state == "CA" and is_county:
            areas |= {83: "Santa Barbara County", 85: "Santa Clara County"}
        elif state == "CA":
            areas |= dict.fromkeys((93101, *map(int, ZIP_CODES), 99999), "")
        elif state == "NM" and is_county:
            areas |= {13: "Doña Ana County", 85: "No such county"}
        for area, name in areas.items():
            county = {"COUNTYFIPS": spelling["fips"].format(area), "COUNTYNAME": name}
            place = county if is_county else {spelling["zip"]: f"{area:05}"}
            for stub in stubs:
                numbers = figures(area, stub, year).items()
                made.append(
                    {"STATEFIPS": spelling["fips"].format(FIPS[state]), "STATE": state}
                    | place
                    | {spelling["stub"]: str(stub)}
                    | {name: spelling["number"].format(number) for name, number in numbers}
                )
    return made


def as_csv(content: list[Line], *, encoding: str = "latin-1") -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(content[0]))
    writer.writeheader()
    writer.writerows(content)
    return text.getvalue().encode(encoding)


class FakeIrs(Fake):
    """`files` by name, as lines; `modified` says when each was last changed.

    Of the newest tax year only the counties are out; the one after it is not.
    """

    name = "irs"

    def __init__(self, today: date = TODAY) -> None:
        super().__init__(today)
        self.zip_codes = ZIP_CODES
        self.first_tax_year = today.year - 4
        self.encoding = "latin-1"
        self.files: dict[str, list[Line]] = {}
        for year in (self.first_tax_year, self.first_tax_year + 1):
            kinds = ("incy", "zp") if year == self.first_tax_year else ("incy",)
            for stem in [f"{kind}all{agi}" for kind in kinds for agi in ("agi", "noagi")]:
                self.files[f"{year % 100:02}{stem}.csv"] = lines(stem, year)
        midnight = datetime.combine(today, datetime.min.time(), tzinfo=UTC)
        self.modified = dict.fromkeys(self.files, midnight - timedelta(days=90, hours=7))

    @property
    def env(self) -> Mapping[str, str]:
        return {
            "IRS_BASE_URL": self.url,
            "IRS_REQUESTS_PER_S": "1000",
            "IRS_FIRST_TAX_YEAR": str(self.first_tax_year),
            "IRS_ZIP_CODES": ",".join(self.zip_codes),
        }

    def answer(self, request: Request) -> Reply:
        name = request.path.removeprefix("/pub/irs-soi/")
        if name not in self.files:
            page = b"<!DOCTYPE html><html><title>Page not found | Internal Revenue Service</title>"
            return Reply(status=404, headers={"content-type": "text/html"}, body=page)
        since = request.headers.get("if-modified-since")
        if since and parsedate_to_datetime(since) >= self.modified[name]:
            return Reply(status=304)
        return Reply(
            headers={
                "content-type": "text/csv",
                "last-modified": format_datetime(self.modified[name], usegmt=True),
            },
            body=as_csv(self.files[name], encoding=self.encoding),
        )
